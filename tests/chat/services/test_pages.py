"""Pages kept in memory: never other than the database says, whoever wrote to it; see `chat.storage.pages`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chat.protocol.errors import NotAMember, RoomNotFound
from chat.protocol.log import Who
from chat.services import Chat
from chat.settings import Settings
from chat.storage import messages, pages
from chat.storage.messages import Page
from tests.chat.services.conftest import signed_in


@asynccontextmanager
async def other_process(settings: Settings) -> AsyncIterator[Chat]:
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_2") as chat:
        yield chat


async def twice(chat: Chat, who: Who, room_id: str) -> Page:
    """The newest page, which is read once and then kept."""
    await chat.messages.history(who, room_id)
    return await chat.messages.history(who, room_id)


async def test_a_page_is_read_once_for_all_who_want_it(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    await chat.rooms.join(bob, room.id)
    await chat.messages.send(ann, room.id, "hello")
    page = await twice(chat, ann, room.id)
    monkeypatch.setattr(messages, "history", None)
    assert await chat.messages.history(bob, room.id) is page


async def test_what_another_process_writes_is_there_at_once(chat: Chat, settings: Settings) -> None:
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "tea")
    first = await chat.messages.send(ann, room.id, "one")
    await twice(chat, ann, room.id)
    async with other_process(settings) as other:
        await other.messages.send(ann, room.id, "two")
        page = await twice(chat, ann, room.id)
        assert [m.content for m in page.messages] == ["one", "two"]
        await other.reactions.add(ann, first.message.id, "👍")
        page = await twice(chat, ann, room.id)
        assert page.messages[0].reactions["👍"].me


async def test_own_reactions_are_the_readers_own(chat: Chat) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    await chat.rooms.join(bob, room.id)
    sent = await chat.messages.send(ann, room.id, "hello")
    await chat.reactions.add(bob, sent.message.id, "👍")
    for who, mine in ((ann, False), (bob, True), (ann, False)):
        assert (await twice(chat, who, room.id)).messages[0].reactions["👍"].me is mine


async def test_someone_erased_after_leaving_has_no_name_in_a_kept_page(chat: Chat, settings: Settings) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    await chat.rooms.join(bob, room.id)
    await chat.messages.send(bob, room.id, "hello")
    await chat.rooms.leave(bob, room.id)
    assert (await twice(chat, ann, room.id)).messages[0].sender.username == "bob"
    async with other_process(settings) as other:
        await other.accounts.erase(bob, "correct horse")
    assert (await twice(chat, ann, room.id)).messages[0].sender.username is None


async def test_a_kept_page_is_for_members_of_a_room_that_is_there(chat: Chat) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    await twice(chat, ann, room.id)
    with pytest.raises(NotAMember):
        await chat.messages.history(bob, room.id)
    await chat.rooms.delete(ann, room.id)
    with pytest.raises(RoomNotFound):
        await chat.messages.history(ann, room.id)


async def test_only_so_many_bytes_are_kept(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LIMIT_BYTES", 5_000)
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "tea")
    for n in range(5):
        await chat.messages.send(ann, room.id, f"{n}")
    for before in range(5):
        await chat.messages.history(ann, room.id, before=before)
    kept = chat.messages._pages
    assert [ask.before for ask in kept._kept] == [3, 4]
    assert kept._bytes == sum(found.size_bytes for found in kept._kept.values()) <= 5_000
