"""What the logs hold: the batch of events that one commit made, as storage hands it to fan-out."""

from dataclasses import dataclass
from enum import StrEnum

from chat.protocol.events import RoomEvent
from chat.protocol.models import RoomState, User


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who asks: a user by a session, until the access token expires (Unix seconds)."""

    user_id: str
    username: str
    session_id: str
    expires_at: float


class UserOp(StrEnum):
    """What can happen to one user across rooms."""

    JOINED = "joined"
    LEFT = "left"
    READ = "read"
    SESSION_ENDED = "session_ended"  # logout, password change, DELETE /auth/sessions: sockets close 4011
    ACCOUNT_GONE = "account_gone"  # disabled or erased: sockets close 4012


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEvent:
    """One row of a user's own log; `n` is dense per user from 1.

    JOINED and LEFT carry `room_id` and the `rev` of the room's own event, JOINED the cursor too; READ carries the new
    cursor and the connection that moved it (null: HTTP); SESSION_ENDED the session.
    """

    user_id: str
    n: int
    op: UserOp
    room_id: str | None = None
    rev: int | None = None
    read_seq: int | None = None
    unread: int | None = None
    session_id: str | None = None
    connection_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PresenceEvent:
    """Someone's first connection to the service came, or the last one went; `n` grows with every such change."""

    n: int
    user: User
    online: bool
    last_active: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Where one user stands, in one consistent read: `n` is the head of the user's own log."""

    n: int
    rooms: list[RoomState]


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What one transaction of this process made durable, in commit order.

    `origins` maps a message's id to the connection that sent it: that one gets no `read` for its own message.
    """

    rooms: tuple[RoomEvent, ...] = ()
    users: tuple[UserEvent, ...] = ()
    presence: tuple[PresenceEvent, ...] = ()
    origins: tuple[tuple[str, str], ...] = ()
