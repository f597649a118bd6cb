"""The logs, as fan-out and clients that catch up read them."""

from collections.abc import Iterable

from chat.protocol.errors import RoomNotFound
from chat.protocol.events import RoomEvent
from chat.protocol.log import Snapshot, UserEvent, Who
from chat.services import texts
from chat.storage import logs, room_reads
from chat.storage.logs import CatchUp
from chat.storage.store import Store


class Log:
    """The rooms' logs and the users' own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.on_ring = store.writer.on_ring
        """`on_ring(callback)`: have *callback* called whenever another process has committed something."""

    async def room_events(self, room_id: str, after_rev: int, limit: int = 1000) -> list[RoomEvent]:
        """A room's events after a revision, in order; a deleted room's too, while they are kept."""
        return await logs.room_events(self._store.readers, room_id, after_rev=after_rev, limit=limit)

    async def catch_up(self, who: Who, room_id: str, *, after_rev: int, limit: int = 100) -> CatchUp:
        """For a client: events after a revision, and the head. Raises `InvalidField`, `RoomNotFound`, `NotAMember`."""
        return await logs.catch_up(
            self._store.readers,
            texts.row_id(room_id, missing=RoomNotFound),
            user_id=who.user_id,
            after_rev=texts.whole(after_rev, "after"),
            limit=texts.within(limit, "limit"),
        )

    async def room_heads(self, room_ids: Iterable[str]) -> dict[str, tuple[int, int] | None]:
        """`(rev, seq)` of each room; None for a deleted or unknown one."""
        return await logs.room_heads(self._store.readers, room_ids)

    async def user_events(self, user_id: str, after_n: int, limit: int = 1000) -> list[UserEvent]:
        """A user's own events after a number, in order."""
        return await logs.user_events(self._store.readers, user_id, after_n=after_n, limit=limit)

    async def user_heads(self, user_ids: Iterable[str]) -> dict[str, int]:
        """The head of each user's own log."""
        return await logs.user_heads(self._store.readers, user_ids)

    async def snapshot(self, user_id: str) -> Snapshot:
        """Where a user stands in all rooms, in one consistent read."""
        return await room_reads.snapshot(self._store.readers, user_id)

    async def is_member(self, user_id: str, room_id: str) -> bool:
        """Whether the user is a member now (False for an unknown or deleted room)."""
        return bool(await room_reads.is_member(self._store.readers, room_id=room_id, user_id=user_id))

    async def require_member(self, who: Who, room_id: str) -> None:
        """Raise `RoomNotFound` or `NotAMember` for a room that is not theirs to use."""
        await room_reads.require_member(self._store.readers, room_id=room_id, user_id=who.user_id)
