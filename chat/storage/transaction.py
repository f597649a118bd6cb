"""One transaction of the writer: what an operation may do in it, and the events it leaves in the logs."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from chat.protocol.errors import Fault
from chat.protocol.events import RoomEvent
from chat.protocol.log import Committed, PresenceEvent, UserEvent, UserOp
from chat.storage.connection import Connection, Parameters, Row, Statement

A = TypeVar("A")
R = TypeVar("R")


@dataclass(slots=True)
class Transaction:
    """Statements of one `BEGIN IMMEDIATE` … `COMMIT`, and the events they made, in order."""

    connection: Connection
    now_ms: int
    rooms: list[RoomEvent] = field(default_factory=list)
    users: list[UserEvent] = field(default_factory=list)
    presence: list[PresenceEvent] = field(default_factory=list)
    origins: list[tuple[str, str]] = field(default_factory=list)
    _waiting: list[Statement] = field(default_factory=list)

    async def rows(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """Run one statement, after those that wait."""
        first, self._waiting = self._waiting, []
        return await self.connection.rows(sql, parameters, first=first)

    async def row(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        """The first row of one statement."""
        found = await self.rows(sql, parameters)
        return found[0] if found else None

    def later(self, sql: str, parameters: Parameters | None = None) -> None:
        """Have one statement run, whose rows nobody needs, in one go with the next that has any, at last the commit.

        Nothing can be caught where it was asked for: an error comes with that next one and fails the transaction.
        """
        self._waiting.append((sql, parameters or {}))

    def forget_waiting(self) -> None:
        """Run nothing of what waits: the transaction has failed."""
        self._waiting = []

    @property
    def committed(self) -> Committed:
        """What fan-out is told once this has been committed."""
        return Committed(
            rooms=tuple(self.rooms),
            users=tuple(self.users),
            presence=tuple(self.presence),
            origins=tuple(self.origins),
        )

    async def log_room(self, room_id: str, op: str, **columns: Any) -> int:
        """Add the next row of a room's log; returns its `rev`. The caller adds the event to `rooms`."""
        found = await self.row("UPDATE rooms SET rev = rev + 1 WHERE id = :id RETURNING rev", {"id": room_id})
        rev = int(found[0]) if found else 0
        self.later(
            "INSERT INTO room_log (room_id, rev, at_ms, op, user_id, message_id, emoji, count, name)"
            " VALUES (:room_id, :rev, :at_ms, :op, :user_id, :message_id, :emoji, :count, :name)",
            {"user_id": None, "message_id": None, "emoji": None, "count": None, "name": None}
            | columns
            | {"room_id": room_id, "rev": rev, "at_ms": self.now_ms, "op": op},
        )
        return rev

    async def log_user(self, user_id: str, op: UserOp, **columns: Any) -> None:
        """Add the next row of a user's own log, and its event."""
        found = await self.row("UPDATE users SET log_n = log_n + 1 WHERE id = :id RETURNING log_n", {"id": user_id})
        event = UserEvent(user_id=user_id, n=int(found[0]) if found else 0, op=op, **columns)
        self.later(
            "INSERT INTO user_log (user_id, n, at_ms, op, room_id, rev, read_seq, unread, session_id, connection_id)"
            " VALUES (:user_id, :n, :at_ms, :op, :room_id, :rev, :read_seq, :unread, :session_id, :connection_id)",
            {name: getattr(event, name) for name in UserEvent.__slots__} | {"op": op.value, "at_ms": self.now_ms},
        )
        self.users.append(event)

    async def isolated(self, act: Callable[["Transaction", A], Awaitable[R]], ask: A) -> R | Fault:
        """Do one operation so that its fault undoes it alone."""
        made: tuple[list[Any], ...] = (self.rooms, self.users, self.presence, self.origins)
        marks = [len(events) for events in made]
        self.later("SAVEPOINT one")
        try:
            result = await act(self, ask)
        except Fault as fault:
            self.later("ROLLBACK TO one")
            self.later("RELEASE one")
            for events, mark in zip(made, marks, strict=True):
                del events[mark:]
            return fault
        self.later("RELEASE one")
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[A, R]):
    """A kind of write: how a run of asks of it is done in a transaction, an outcome for each."""

    name: str
    apply: Callable[[Transaction, Sequence[A]], Awaitable[Sequence[R | Fault]]]


def single(act: Callable[[Transaction, A], Awaitable[R]]) -> Kind[A, R]:
    """The kind whose asks are done one by one, each isolated: for what is rare."""

    async def apply(tx: Transaction, asks: Sequence[A]) -> Sequence[R | Fault]:
        return [await tx.isolated(act, ask) for ask in asks]

    return Kind(act.__name__, apply)


def bulk(act: Callable[[Transaction, Sequence[A]], Awaitable[Sequence[R | Fault]]]) -> Kind[A, R]:
    """The kind whose asks are done together: for what is frequent. It judges all before it writes anything."""
    return Kind(act.__name__, act)
