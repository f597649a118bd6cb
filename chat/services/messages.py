"""Messages: sending, and reading history."""

import asyncio
from collections.abc import Callable

from chat.protocol.errors import InvalidField, RoomNotFound
from chat.protocol.log import Who
from chat.services import texts
from chat.storage import messages
from chat.storage.messages import Draft, Page, Sent
from chat.storage.pages import Ask, Pages
from chat.storage.store import Store
from chat.text import content as allowed_content


class Messages:
    """Everybody's messages."""

    def __init__(self, store: Store) -> None:
        self._store, self._pages = store, Pages(store.readers)

    def post(
        self,
        who: Who,
        room_id: str,
        content: str,
        client_id: str | None = None,
        *,
        connection_id: str | None = None,
        told: Callable[[Sent | Exception], None],
    ) -> None:
        """Queue a message without waiting; messages are stored in the order queued.

        Raises at once `InvalidText` for a text the policy refuses and `Unavailable` for a full queue. After that
        *told* is called once, right after the commit and before the event is delivered, with the message or
        `RoomNotFound`, `NotAMember`, `ClientIdConflict`, `Unavailable`, or what a bug raised.
        """
        draft = _draft(who, room_id, content, client_id, connection_id=connection_id)
        self._store.writer.post(messages.append, draft, told=told)

    def submit(self, who: Who, room_id: str, content: str, client_id: str | None = None) -> asyncio.Future[Sent]:
        """As `post`, for one who waits."""
        return self._store.writer.submit(messages.append, _draft(who, room_id, content, client_id))

    async def send(self, who: Who, room_id: str, content: str, client_id: str | None = None) -> Sent:
        """Store a message durably and return it with its place in the room; a repeat returns the stored one.

        Safe to cancel: stored whole or not at all. Raises as `post`.
        """
        return await self.submit(who, room_id, content, client_id)

    async def history(
        self, who: Who, room_id: str, *, limit: int = 50, before: int | None = None, after: int | None = None
    ) -> Page:
        """A page, oldest first: the newest, or next to a `seq`. Raises `InvalidField`, `RoomNotFound`, `NotAMember`."""
        if before is not None and after is not None:
            raise InvalidField("before", "before and after exclude each other")
        ask = Ask(
            room_id=texts.row_id(room_id, missing=RoomNotFound),
            user_id=who.user_id,
            limit=texts.within(limit, "limit"),
            before=None if before is None else texts.whole(before, "before"),
            after=None if after is None else texts.whole(after, "after"),
        )
        return await self._pages.read(ask)


def _draft(who: Who, room_id: str, content: str, client_id: str | None, *, connection_id: str | None = None) -> Draft:
    with texts.judged("content"):
        text = allowed_content(content)
    return Draft(
        room_id=texts.row_id(room_id, missing=RoomNotFound),
        user_id=who.user_id,
        username=who.username,
        content=text,
        client_id=texts.client_id(client_id),
        connection_id=connection_id,
    )
