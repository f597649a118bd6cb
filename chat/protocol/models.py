"""The nouns of the contract as they appear in answers and events."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that is sent: fields that are UNSET are absent from the JSON, None is null."""


class User(Wire, frozen=True):
    """Someone with an account; `username` is null once it is erased."""

    id: str
    username: str | None


class Room(Wire, frozen=True):
    """A room; `seq` counts its messages, `rev` all its durable events, both from 1."""

    id: str
    name: str
    created_at: str
    owner: User | None
    member_count: int
    seq: int
    rev: int


class ReactionCount(Wire, frozen=True):
    """How many reacted with an emoji, and whether the asker is one of them."""

    count: int
    me: bool


class Message(Wire, frozen=True):
    """A message at its place in its room: `seq` among the messages, `rev` among all events."""

    id: str
    room_id: str
    seq: int
    rev: int
    sender: User
    timestamp: str
    content: str
    client_id: str | UnsetType = UNSET
    reactions: dict[str, ReactionCount] = {}


class Member(Wire, frozen=True):
    """A member of a room with presence; `last_active` is null for one who was never connected."""

    user: User
    role: Literal["owner", "member"]
    online: bool
    last_active: str | None


class Session(Wire, frozen=True):
    """A signed-in session of the asker."""

    id: str
    created_at: str
    last_seen: str
    user_agent: str
    current: bool


class MyRoom(Wire, frozen=True):
    """A room I am in, with what I have not read."""

    room: Room
    unread: int
    read_seq: int
    last_message: Message | UnsetType = UNSET


class RoomState(Wire, frozen=True):
    """Where a room stands at `hello`."""

    room_id: str
    name: str
    rev: int
    seq: int
    read_seq: int
    unread: int


class Limits(Wire, frozen=True):
    """What a client may send; null: no limit."""

    frame_bytes: int
    content_graphemes: int
    messages_per_s: int | None
    burst: int | None
