"""Presence over two processes: who comes, who goes, who is held over, whose process died."""

import asyncio
from pathlib import Path

import pytest

from chat.services import Chat
from chat.settings import Settings
from tests.chat.services.conftest import Recorded, signed_in
from tests.chat.services.test_accounts import Clock
from tests.chat.services.test_two_processes import until


async def test_only_the_first_connection_and_the_last_one_going_are_told(chat: Chat, other: Chat) -> None:
    ann = await signed_in(chat, "ann")
    await chat.presence.connected(ann.user_id)
    await other.presence.connected(ann.user_id)
    await chat.presence.disconnected(ann.user_id)
    await other.presence.disconnected(ann.user_id)
    changes = await chat.presence.changes(0)
    assert [(c.user.username, c.online) for c in changes] == [("ann", True), ("ann", False)]
    assert await chat.presence.head() == changes[-1].n


async def test_the_own_changes_come_with_the_commit(settings: Settings, recorded: Recorded) -> None:
    async with recorded(settings, "p_1") as (chat, seen):
        ann = await signed_in(chat, "ann")
        await chat.presence.connected(ann.user_id)
        assert [c for batch in seen for c in batch.presence] == await chat.presence.changes(0)


async def test_members_show_who_is_online_and_when_they_were(chat: Chat, other: Chat) -> None:
    ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
    room = await chat.rooms.create(ann, "tea")
    await chat.rooms.join(bob, room.id)
    await other.presence.connected(ann.user_id)
    members = await chat.rooms.members(bob, room.id)
    assert [(m.user.username, m.role, m.online) for m in members] == [("ann", "owner", True), ("bob", "member", False)]
    assert members[0].last_active is not None
    assert members[1].last_active is None
    assert [m.user.username for m in await chat.rooms.members(bob, room.id, online_only=True)] == ["ann"]
    assert (await chat.presence.online([ann.user_id, "u_none"])) == {ann.user_id: (True, members[0].last_active)}


async def test_one_held_over_who_comes_back_was_never_away(settings: Settings) -> None:
    clock = Clock()
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_2", now=clock) as other:
        async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1", now=clock) as chat:
            ann = await signed_in(chat, "ann")
            await chat.presence.connected(ann.user_id)
            await chat.presence.held_over(ann.user_id, clock.now_s + 15)
        await other.presence.connected(ann.user_id)
        clock.now_s += 16
        await other.presence.connected((await signed_in(other, "bob")).user_id)
        assert [(c.user.username, c.online) for c in await other.presence.changes(0)] == [
            ("ann", True), ("bob", True)
        ]  # fmt: skip
        await other.presence.disconnected(ann.user_id)
        assert (await other.presence.changes(0))[-1].online is False


async def test_one_held_over_who_stays_away_is_offline_in_the_end(settings: Settings) -> None:
    clock = Clock()
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1", now=clock) as chat:
        ann = await signed_in(chat, "ann")
        await chat.presence.connected(ann.user_id)
        await chat.presence.held_over(ann.user_id, clock.now_s + 15)
        assert (await chat.presence.online([ann.user_id]))[ann.user_id][0]
        clock.now_s += 15
        await _until_offline(chat, ann.user_id)


async def _until_offline(chat: Chat, user_id: str) -> None:
    async with asyncio.timeout(5):
        while (await chat.presence.online([user_id]))[user_id][0]:  # noqa: ASYNC110 - the change comes from the database
            await asyncio.sleep(0.02)


async def test_a_dead_processs_users_go_offline_on_the_others(settings: Settings, tmp_path: Path) -> None:
    clock = Clock()
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1", now=clock) as chat:
        ann = await signed_in(chat, "ann")
        dead = Clock()
        async with Chat.open(settings, on_commit=lambda _: None, process_id="p_dead", now=dead) as other:
            await other.presence.connected(ann.user_id)
            # What a killed process leaves behind: its row, and a lease that nobody renews any more.
            clock.now_s += 21
            await _until_offline(chat, ann.user_id)
            assert [(c.user.username, c.online) for c in await chat.presence.changes(0)] == [
                ("ann", True), ("ann", False)
            ]  # fmt: skip


async def test_a_process_that_was_taken_for_dead_says_again_who_is_there(settings: Settings) -> None:
    clock = Clock()
    async with (
        Chat.open(settings, on_commit=lambda _: None, process_id="p_1", now=clock) as chat,
        Chat.open(settings, on_commit=lambda _: None, process_id="p_2", now=clock) as other,
    ):
        ann = await signed_in(chat, "ann")
        await chat.presence.connected(ann.user_id)
        clock.now_s += 60
        await other.presence.connected((await signed_in(other, "bob")).user_id)
        async with asyncio.timeout(5):
            while not (await other.presence.online([ann.user_id]))[ann.user_id][0]:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)


async def test_a_clean_stop_takes_its_users_offline_at_once(settings: Settings, chat: Chat) -> None:
    ann = await signed_in(chat, "ann")
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_2") as other:
        await other.presence.connected(ann.user_id)
    assert [c.online for c in await chat.presence.changes(0)] == [True, False]


@pytest.mark.parametrize("flaps", [200])
async def test_many_who_flap_share_a_few_commits(settings: Settings, recorded: Recorded, flaps: int) -> None:
    async with recorded(settings, "p_1") as (chat, seen):
        people = [await signed_in(chat, f"user{n}") for n in range(5)]
        seen.clear()
        async with asyncio.TaskGroup() as group:
            for n in range(flaps):
                say = chat.presence.disconnected if n % 2 else chat.presence.connected
                group.create_task(say(people[n % 5].user_id))
        await until(lambda: bool(seen))
        assert len(seen) <= 3
