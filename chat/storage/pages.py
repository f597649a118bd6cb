"""Pages of history kept in memory while they stay true, whichever process writes: a room's `rev` tells."""

from typing import NamedTuple

import msgspec

from chat.protocol.errors import NotAMember, RoomNotFound
from chat.storage import messages
from chat.storage.connection import Readers
from chat.storage.messages import Page

LIMIT_BYTES = 16 * 1024 * 1024
MESSAGE_BYTES = 600  # what a message takes beside its content, about

# Everything that a page shows moves the room's rev, but for the names: someone who had left may be erased later.
_STILL = """
SELECT r.rev, EXISTS (SELECT 1 FROM members WHERE room_id = r.id AND user_id = :user_id), NOT EXISTS (
    SELECT 1 FROM json_each(:names) AS n JOIN users AS u ON u.id = n.key WHERE u.username IS NOT n.value)
FROM rooms AS r WHERE r.id = :room_id AND r.deleted_ms IS NULL
"""


class Ask(NamedTuple):
    """A page that someone wants to see."""

    room_id: str
    user_id: str
    limit: int
    before: int | None
    after: int | None


class _Kept(NamedTuple):
    page: Page
    names: str  # of those who wrote it, by id, as JSON
    size_bytes: int


class Pages:
    """Reads pages; those read last are kept, up to `LIMIT_BYTES`.

    A page that shows no reactions is the same for everybody; with reactions it says which are the reader's own.
    """

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._kept: dict[Ask, _Kept] = {}
        self._bytes = 0

    async def read(self, ask: Ask) -> Page:
        """The page as it is now. Raises `RoomNotFound`, `NotAMember`, `Unavailable`."""
        everybodys = ask._replace(user_id="")
        for place in (everybodys, ask):
            if (kept := self._kept.get(place)) is not None:
                if await self._is_true(kept, ask):
                    self._kept[place] = self._kept.pop(place)  # the last to be forgotten
                    return kept.page
                self._forget(place)
        page = await messages.history(self._readers, **ask._asdict())
        self._keep(ask if any(m.reactions for m in page.messages) else everybodys, page)
        return page

    async def _is_true(self, kept: _Kept, ask: Ask) -> bool:
        asked = {"room_id": ask.room_id, "user_id": ask.user_id, "names": kept.names}
        row = await self._readers.one(_STILL, asked)
        if row is None:
            raise RoomNotFound(ask.room_id)
        rev, member, same_names = row
        if not member:
            raise NotAMember(ask.room_id)
        return bool(same_names) and rev == kept.page.rev

    def _keep(self, place: Ask, page: Page) -> None:
        names = {m.sender.id: m.sender.username for m in page.messages}
        size_bytes = sum(len(m.content) * 2 + MESSAGE_BYTES for m in page.messages) + MESSAGE_BYTES
        self._forget(place)
        self._kept[place] = _Kept(page, msgspec.json.encode(names).decode(), size_bytes)
        self._bytes += size_bytes
        while self._bytes > LIMIT_BYTES:
            self._forget(next(iter(self._kept)))

    def _forget(self, place: Ask) -> None:
        if (kept := self._kept.pop(place, None)) is not None:
            self._bytes -= kept.size_bytes
