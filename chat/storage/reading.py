"""Read cursors: how far each member has read."""

from dataclasses import dataclass
from typing import NamedTuple

from chat.protocol.errors import NotAMember, RoomNotFound
from chat.protocol.log import UserOp
from chat.storage.transaction import Transaction, single


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A cursor to be moved; `connection_id` is the WebSocket that asks, None for HTTP."""

    room_id: str
    user_id: str
    seq: int
    connection_id: str | None


class Cursor(NamedTuple):
    """Where a cursor stands."""

    read_seq: int
    unread: int


@single
async def move(tx: Transaction, ask: Move) -> Cursor:
    """Move a cursor, never backwards and at most to the head. Raises `RoomNotFound`, `NotAMember`."""
    at = {"room_id": ask.room_id, "user_id": ask.user_id}
    row = await tx.row(
        "SELECT r.seq, m.read_seq FROM rooms AS r"
        " LEFT JOIN members AS m ON m.room_id = r.id AND m.user_id = :user_id"
        " WHERE r.id = :room_id AND r.deleted_ms IS NULL",
        at,
    )
    if row is None:
        raise RoomNotFound(ask.room_id)
    head, stood_at = row
    if stood_at is None:
        raise NotAMember(ask.room_id)
    read_seq = max(stood_at, min(ask.seq, head))
    if read_seq != stood_at:
        tx.later(
            "UPDATE members SET read_seq = :read_seq WHERE room_id = :room_id AND user_id = :user_id",
            at | {"read_seq": read_seq},
        )
        await tx.log_user(
            ask.user_id,
            UserOp.READ,
            room_id=ask.room_id,
            read_seq=read_seq,
            unread=head - read_seq,
            connection_id=ask.connection_id,
        )
    return Cursor(read_seq, head - read_seq)
