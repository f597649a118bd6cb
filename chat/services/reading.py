"""Read cursors and with them what is unread."""

from chat.protocol.errors import RoomNotFound
from chat.protocol.log import Who
from chat.services import texts
from chat.storage import reading
from chat.storage.reading import Cursor, Move
from chat.storage.store import Store


class Reading:
    """Everybody's read cursors."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def move(self, who: Who, room_id: str, seq: int, *, connection_id: str | None = None) -> Cursor:
        """Move one's cursor, never backwards, at most to the head.

        Raises `InvalidField` (a negative `seq`), `RoomNotFound`, `NotAMember`.
        """
        ask = Move(
            room_id=texts.row_id(room_id, missing=RoomNotFound),
            user_id=who.user_id,
            seq=texts.whole(seq, "seq"),
            connection_id=connection_id,
        )
        return await self._store.writer.submit(reading.move, ask)
