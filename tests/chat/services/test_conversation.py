"""What the services promise people who talk, on one process and on two that share a file."""

import asyncio
from collections.abc import Awaitable

import pytest

from chat.protocol.errors import (
    ClientIdConflict,
    Code,
    Fault,
    Forbidden,
    NotFound,
    RoomNameTaken,
    RoomNotFound,
    TooMany,
)
from chat.protocol.events import MemberChanged, MessageSent, RoomChanged
from chat.protocol.log import UserOp
from chat.services import Chat
from chat.settings import Settings
from chat.storage.messages import Sent
from tests.chat.services.conftest import Recorded, signed_in


async def code_of(doing: Awaitable[object]) -> Code | None:
    try:
        await doing
    except Fault as fault:
        return fault.code
    return None


async def test_a_room_with_an_emoji_delivers_its_messages(chat: Chat) -> None:
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "cafe-☕")
    sent = await chat.messages.send(ann, room.id, "hi ☕\r\n")
    page = await chat.messages.history(ann, room.id)
    assert [(m.content, m.seq, m.rev) for m in page.messages] == [("hi ☕\n", 1, 2)]
    assert page.messages[0] == sent.message


async def test_creating_a_room_makes_rev_1_and_seq_0(chat: Chat) -> None:
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "tea")
    assert (room.rev, room.seq, room.member_count, room.owner and room.owner.id) == (1, 0, 1, ann.user_id)
    events = await chat.log.room_events(room.id, 0)
    assert [type(event) for event in events] == [MemberChanged]


async def test_a_repeated_send_is_the_same_message_on_any_process_and_makes_no_event(
    settings: Settings, recorded: Recorded
) -> None:
    async with recorded(settings, "p_1") as (chat, seen), recorded(settings, "p_2") as (other, also_seen):
        ann = await signed_in(chat, "ann")
        room = await chat.rooms.create(ann, "tea")
        sends = [c.messages.submit(ann, room.id, "once", "c-1") for c in (chat, chat, other, other, chat)]
        sent = await asyncio.gather(*sends)
        assert {s.message.id for s in sent} == {sent[0].message.id}
        assert sum(not s.duplicate for s in sent) == 1
        events = [e for c in (*seen, *also_seen) for e in c.rooms if isinstance(e, MessageSent)]
        assert len(events) == 1
        assert (await chat.rooms.get(room.id)).seq == 1


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_a_client_id_cannot_be_used_for_something_else(chat: Chat, elsewhere: bool) -> None:
    ann = await signed_in(chat, "ann")
    room, second = await chat.rooms.create(ann, "tea"), await chat.rooms.create(ann, "coffee")
    first = chat.messages.submit(ann, room.id, "x", "c-1")
    again = chat.messages.submit(ann, second.id if elsewhere else room.id, "x" if elsewhere else "y", "c-1")
    assert not (await first).duplicate
    with pytest.raises(ClientIdConflict):
        await again


async def test_the_acknowledgement_comes_before_the_event_and_both_before_any_waiter(
    settings: Settings,
) -> None:
    order: list[str] = []
    async with Chat.open(settings, on_commit=lambda _: order.append("event"), process_id="p_1") as chat:
        ann = await signed_in(chat, "ann")
        room = await chat.rooms.create(ann, "tea")
        order.clear()
        chat.messages.post(ann, room.id, "x", told=lambda _: order.append("ack"))
        await chat.messages.send(ann, room.id, "in the same transaction")
        order.append("waiter")
    assert order[:3] == ["ack", "event", "waiter"]


async def test_what_is_pipelined_is_stored_and_answered_in_the_order_submitted(chat: Chat) -> None:
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "tea")
    answers: list[str] = []

    def told(outcome: Sent | Exception) -> None:
        answers.append(outcome.message.content if isinstance(outcome, Sent) else str(getattr(outcome, "code", outcome)))

    for n in range(30):
        chat.messages.post(ann, room.id if n % 3 else "r_none", str(n), told=told)
    await chat.messages.send(ann, room.id, "last")
    assert answers == [str(n) if n % 3 else "room_not_found" for n in range(30)]
    page = await chat.messages.history(ann, room.id)
    assert [m.content for m in page.messages] == [*(str(n) for n in range(30) if n % 3), "last"]


async def test_a_cancelled_send_is_stored_and_the_writer_goes_on(chat: Chat) -> None:
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "tea")
    sending = asyncio.create_task(chat.messages.send(ann, room.id, "cancelled"))
    await asyncio.sleep(0)
    sending.cancel()
    await chat.messages.send(ann, room.id, "next")
    page = await chat.messages.history(ann, room.id)
    assert [m.content for m in page.messages] == ["cancelled", "next"]


async def test_strangers_are_kept_out_of_a_room(chat: Chat) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    message = (await chat.messages.send(ann, room.id, "x")).message
    attempts = [
        chat.messages.send(bob, room.id, "x"),
        chat.messages.history(bob, room.id),
        chat.rooms.members(bob, room.id),
        chat.reading.move(bob, room.id, 1),
        chat.reactions.add(bob, message.id, "👍"),
        chat.log.catch_up(bob, room.id, after_rev=0),
        chat.rooms.rename(bob, room.id, "x"),
        chat.rooms.delete(bob, room.id),
        chat.rooms.remove_member(bob, room.id, ann.user_id),
    ]
    assert {await code_of(attempt) for attempt in attempts} == {Code.NOT_A_MEMBER}


async def test_a_member_who_is_not_the_owner_may_not_rule(chat: Chat) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    await chat.rooms.join(bob, room.id)
    for attempt in (
        chat.rooms.rename(bob, room.id, "x"),
        chat.rooms.delete(bob, room.id),
        chat.rooms.remove_member(bob, room.id, ann.user_id),
    ):
        with pytest.raises(Forbidden):
            await attempt


async def test_the_owners_leaving_hands_the_room_to_the_longest_standing_member(chat: Chat) -> None:
    ann, bob, eve = [await signed_in(chat, name) for name in ("ann", "bob", "eve")]
    room = await chat.rooms.create(ann, "tea")
    for who in (bob, eve):
        await chat.rooms.join(who, room.id)
    await chat.rooms.leave(bob, room.id)
    await chat.rooms.join(bob, room.id)
    await chat.rooms.leave(ann, room.id)
    owner = (await chat.rooms.get(room.id)).owner
    assert owner is not None
    assert owner.id == eve.user_id
    leave, own = (await chat.log.room_events(room.id, 0))[-2:]
    assert isinstance(leave, MemberChanged)
    assert isinstance(own, RoomChanged)
    assert (leave.op, leave.user.id, own.op, own.owner) == ("leave", ann.user_id, "owner", owner)


async def test_an_empty_room_stays_and_belongs_to_who_joins_it(chat: Chat) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    await chat.rooms.leave(ann, room.id)
    assert (await chat.rooms.get(room.id)).owner is None
    joined = await chat.rooms.join(bob, room.id)
    assert joined.owner is not None
    assert joined.owner.id == bob.user_id
    ops = [e.op for e in await chat.log.room_events(room.id, 0) if isinstance(e, MemberChanged | RoomChanged)]
    assert ops == ["join", "leave", "owner", "join", "owner"]


async def test_joining_and_leaving_twice_changes_nothing(chat: Chat) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    for _ in range(2):
        await chat.rooms.join(bob, room.id)
    for _ in range(2):
        await chat.rooms.leave(bob, room.id)
    assert (await chat.rooms.get(room.id)).rev == 3


async def test_a_removed_member_learns_of_it_in_the_own_log(chat: Chat) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    await chat.rooms.join(bob, room.id)
    await chat.rooms.remove_member(ann, room.id, bob.user_id)
    assert [e.op for e in await chat.log.user_events(bob.user_id, 0)] == [UserOp.JOINED, UserOp.LEFT]
    with pytest.raises(NotFound):
        await chat.rooms.remove_member(ann, room.id, bob.user_id)


async def test_a_deleted_room_is_gone_its_name_is_free_and_its_log_ends_with_the_delete(chat: Chat) -> None:
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "tea")
    sent = await chat.messages.send(ann, room.id, "x")
    await chat.rooms.delete(ann, room.id)
    for attempt in (
        chat.rooms.get(room.id),
        chat.rooms.join(ann, room.id),
        chat.messages.send(ann, room.id, "x"),
        chat.messages.history(ann, room.id),
        chat.log.catch_up(ann, room.id, after_rev=0),
    ):
        with pytest.raises(RoomNotFound):
            await attempt
    assert await code_of(chat.reactions.add(ann, sent.message.id, "👍")) is Code.MESSAGE_NOT_FOUND
    last = (await chat.log.room_events(room.id, 0))[-1]
    assert isinstance(last, RoomChanged)
    assert last.op == "delete"
    assert (await chat.log.room_heads([room.id]))[room.id] is None
    assert (await chat.rooms.mine(ann), (await chat.rooms.create(ann, "TEA")).seq) == ([], 0)


async def test_spellings_of_a_name_are_one_room(chat: Chat) -> None:
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "café")
    for spelling in ("cafe\u0301", "CAFÉ", "ＣＡＦÉ", " café "):
        with pytest.raises(RoomNameTaken):
            await chat.rooms.create(ann, spelling)
    assert (await chat.rooms.create(ann, "cafe")).id != room.id
    assert (await chat.rooms.rename(ann, room.id, "CAFÉ")).name == "CAFÉ"


async def test_unread_is_the_head_less_the_cursor(chat: Chat, other: Chat) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    await chat.messages.send(ann, room.id, "before")
    await other.rooms.join(bob, room.id)
    for n in range(5):
        await chat.messages.send(ann, room.id, str(n))
    assert [(m.read_seq, m.unread) for m in await other.rooms.mine(bob)] == [(1, 5)]
    assert await other.reading.move(bob, room.id, 3) == (3, 3)
    assert await chat.reading.move(bob, room.id, 2) == (3, 3)
    assert await chat.reading.move(bob, room.id, 2**70) == (6, 0)
    await chat.messages.send(ann, room.id, "more")
    await chat.messages.send(bob, room.id, "mine")
    assert [(m.read_seq, m.unread) for m in await chat.rooms.mine(bob)] == [(8, 0)]


async def test_one_who_rejoins_reads_history_and_has_nothing_unread(chat: Chat) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    await chat.rooms.join(bob, room.id)
    await chat.rooms.leave(bob, room.id)
    await chat.messages.send(ann, room.id, "meanwhile")
    await chat.rooms.join(bob, room.id)
    assert [m.unread for m in await chat.rooms.mine(bob)] == [0]
    assert [m.content for m in (await chat.messages.history(bob, room.id)).messages] == ["meanwhile"]


async def test_history_is_paged_in_both_directions(chat: Chat) -> None:
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "tea")
    empty = await chat.messages.history(ann, room.id)
    assert (empty.messages, empty.has_more, empty.rev) == ([], False, 1)
    await asyncio.gather(*(chat.messages.submit(ann, room.id, str(n)) for n in range(1, 11)))

    async def page(**bounds: int) -> tuple[list[int], bool]:
        found = await chat.messages.history(ann, room.id, limit=4, **bounds)
        return [m.seq for m in found.messages], found.has_more

    assert await page() == ([7, 8, 9, 10], True)
    assert await page(before=7) == ([3, 4, 5, 6], True)
    assert await page(before=3) == ([1, 2], False)
    assert await page(before=5) == ([1, 2, 3, 4], False)
    assert await page(after=0) == ([1, 2, 3, 4], True)
    assert await page(after=8) == ([9, 10], False)
    assert await page(after=2**70) == ([], False)


@pytest.mark.parametrize(
    "bounds", [{"limit": 0}, {"limit": 101}, {"before": -1}, {"after": -1}, {"before": 1, "after": 1}]
)
async def test_bounds_that_make_no_sense_are_refused(chat: Chat, bounds: dict[str, int]) -> None:
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "tea")
    assert await code_of(chat.messages.history(ann, room.id, **bounds)) is Code.INVALID_FIELD


async def test_a_user_can_be_in_so_many_rooms_only(settings: Settings) -> None:
    capped = {name: getattr(settings, name) for name in Settings.__slots__} | {"max_rooms_per_user": 2}
    async with Chat.open(Settings(**capped), on_commit=lambda _: None, process_id="p_1") as chat:
        ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
        bobs = await chat.rooms.create(bob, "bob's")
        for name in ("tea", "coffee"):
            await chat.rooms.create(ann, name)
        for attempt in (chat.rooms.create(ann, "milk"), chat.rooms.join(ann, bobs.id)):
            with pytest.raises(TooMany):
                await attempt


async def test_browsing_finds_by_part_of_the_key_and_pages_by_key(chat: Chat) -> None:
    ann = await signed_in(chat, "ann")
    for name in ("Zebra ☕", "apple", "Émile", "mango", "ÉCOLE"):
        await chat.rooms.create(ann, name)
    names, cursor = [], None
    while True:
        rooms, cursor = await chat.rooms.browse(limit=2, cursor=cursor)
        names += [room.name for room in rooms]
        if cursor is None:
            break
    assert names == ["apple", "mango", "Zebra ☕", "ÉCOLE", "Émile"]
    assert [room.name for room in (await chat.rooms.browse(query="É"))[0]] == ["ÉCOLE", "Émile"]
    for made_up in ("☕", "!!", "YQ==", "YR", "/w", "\n"):
        assert await code_of(chat.rooms.browse(cursor=made_up)) is Code.INVALID_FIELD
