"""What HTTP calls answer with, whole bodies."""

from typing import Literal

from msgspec import UNSET, UnsetType

from chat.protocol.errors import Code
from chat.protocol.events import RoomEvent
from chat.protocol.models import Member, Message, MyRoom, ReactionCount, Room, Session, User, Wire


class SignedInAnswer(Wire, frozen=True):
    """Tokens of a session just made or refreshed; `expires_in` is the access token's, in seconds."""

    user: User
    access_token: str
    refresh_token: str
    expires_in: int
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the kind of token, not one


class SessionsAnswer(Wire, frozen=True):
    """Where I am signed in."""

    sessions: list[Session]


class TicketAnswer(Wire, frozen=True):
    """A one-time ticket for `GET /chat?ticket=`; `expires_in` in seconds."""

    ticket: str
    expires_in: int


class UserAnswer(Wire, frozen=True):
    """Who I am."""

    user: User


class MyRoomsAnswer(Wire, frozen=True):
    """The rooms I am in."""

    rooms: list[MyRoom]


class RoomAnswer(Wire, frozen=True):
    """One room."""

    room: Room


class RoomsAnswer(Wire, frozen=True):
    """A page of rooms by key; `next_cursor` is absent on the last."""

    rooms: list[Room]
    next_cursor: str | UnsetType = UNSET


class HistoryAnswer(Wire, frozen=True):
    """A page of messages, oldest first; `rev` is the room's head at this read."""

    messages: list[Message]
    has_more: bool
    rev: int


class MessageAnswer(Wire, frozen=True):
    """One message."""

    message: Message


class MembersAnswer(Wire, frozen=True):
    """Members of a room with presence."""

    members: list[Member]


class ReadAnswer(Wire, frozen=True):
    """Where my cursor stands."""

    read_seq: int
    unread: int


class EventsAnswer(Wire, frozen=True):
    """Durable events after a rev, in order; `complete`: they reach the head."""

    events: list[RoomEvent]
    head_rev: int
    complete: bool


class ReactionsAnswer(Wire, frozen=True):
    """A message's reactions."""

    message_id: str
    reactions: dict[str, ReactionCount]


class HealthAnswer(Wire, frozen=True):
    """Alive, or able to serve."""

    status: Literal["ok"] = "ok"


class VersionAnswer(Wire, frozen=True):
    """What runs; `commit` is null when it is not known."""

    version: str
    commit: str | None
    started_at: str


class Problem(Wire, frozen=True):
    """An error (RFC 9457); `failing` says what `readyz` found."""

    type: str
    title: str
    status: int
    code: Code
    detail: str
    field: str | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET
    failing: list[str] | UnsetType = UNSET
