"""What the server sends on a WebSocket: durable events of a room's log, ephemeral ones, and answers to commands."""

from typing import Literal

from msgspec import UNSET, UnsetType

from chat.protocol.errors import Code, Retry
from chat.protocol.models import Limits, Message, ReactionCount, RoomState, User, Wire


class Event(Wire, frozen=True, tag_field="type"):
    """Base of every server frame."""


# Durable: one row each in a room's log, dense by `rev`.


class MessageSent(Event, frozen=True, tag="message"):
    """A message, shown as created."""

    room_id: str
    rev: int
    message: Message


class ReactionChanged(Event, frozen=True, tag="reaction"):
    """A reaction was added or removed; `count` as of this `rev`."""

    room_id: str
    rev: int
    message_id: str
    emoji: str
    user: User
    op: Literal["add", "remove"]
    count: int


class MemberChanged(Event, frozen=True, tag="member"):
    """Someone joined, or left or was removed."""

    room_id: str
    rev: int
    user: User
    op: Literal["join", "leave"]


class RoomChanged(Event, frozen=True, tag="room"):
    """The room was renamed, deleted, or has another owner."""

    room_id: str
    rev: int
    op: Literal["rename", "delete", "owner"]
    name: str | UnsetType = UNSET
    owner: User | UnsetType | None = UNSET


RoomEvent = MessageSent | ReactionChanged | MemberChanged | RoomChanged


# Ephemeral: no `rev`, may be dropped for a slow reader.


class PresenceChanged(Event, frozen=True, tag="presence"):
    """A member's first connection came, or the last one went."""

    room_id: str
    user: User
    online: bool
    last_active: str | None


class Notification(Event, frozen=True, tag="notification"):
    """Someone else's message in a room this connection is not viewing."""

    room_id: str
    room_name: str
    message_id: str
    sender: User
    preview: str
    unread: int


class ReadMoved(Event, frozen=True, tag="read"):
    """My read cursor moved on another connection."""

    room_id: str
    read_seq: int
    unread: int


class Typing(Event, frozen=True, tag="typing"):
    """A member is typing."""

    room_id: str
    user: User


class AuthExpiring(Event, frozen=True, tag="auth_expiring"):
    """The access token ends soon; send `auth`."""

    expires_at: str


class GoingAway(Event, frozen=True, tag="going_away"):
    """The server is about to close; come back after this long."""

    reconnect_after_ms: int


# Answers.


class Hello(Event, frozen=True, tag="hello"):
    """The first frame of a connection."""

    version: str
    connection_id: str
    user: User
    epoch: str
    heartbeat_ms: int
    token_expires_at: str
    limits: Limits
    rooms: list[RoomState]


class Ack(Event, frozen=True, tag="ack"):
    """A command was carried out; which further fields are there depends on the command."""

    re: str
    status: Literal["ok", "delivered"] = "ok"
    message: Message | UnsetType = UNSET
    duplicate: bool | UnsetType = UNSET
    message_id: str | UnsetType = UNSET
    reactions: dict[str, ReactionCount] | UnsetType = UNSET
    read_seq: int | UnsetType = UNSET
    unread: int | UnsetType = UNSET
    token_expires_at: str | UnsetType = UNSET


class Failed(Event, frozen=True, tag="error"):
    """A command failed; the socket stays open."""

    re: str | None
    code: Code
    detail: str
    field: str | UnsetType = UNSET
    retry: Retry = Retry.NO
    retry_after_ms: int | UnsetType = UNSET


class Pong(Event, frozen=True, tag="pong"):
    """Answer to `ping`."""

    re: str


class Resumed(Event, frozen=True, tag="resumed", rename={"from_rev": "from"}):
    """All events of a room after `from` up to `to` were sent; live ones follow."""

    room_id: str
    from_rev: int
    to: int
    complete: bool = True


class Reset(Event, frozen=True, tag="reset"):
    """A room cannot be resumed; fetch it anew."""

    room_id: str
    reason: Literal["epoch", "too_far", "ahead", "not_a_member", "deleted"]
    head_rev: int | None


Frame = (
    RoomEvent | PresenceChanged | Notification | ReadMoved | Typing | AuthExpiring | GoingAway
    | Hello | Ack | Failed | Pong | Resumed | Reset
)  # fmt: skip
