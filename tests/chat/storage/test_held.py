"""Held connections: set up as durability needs it, wherever the file lies, and what is old is removed from it."""

import asyncio
import os
from pathlib import Path

import pytest

from chat.services import Chat, retention
from chat.settings import Settings, load, read
from chat.storage.retention import Keep
from chat.storage.store import Store
from chat.storage.transaction import Transaction, single
from tests.chat.services.conftest import signed_in
from tests.chat.services.test_accounts import Clock

DAY_S = 86_400


@single
async def pragma(tx: Transaction, name: str) -> object:
    row = await tx.row(f"PRAGMA {name}")
    return row[0] if row else None


@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("wal_autocheckpoint", 8_000)]
)
async def test_the_writer_keeps_its_pragmas_over_many_transactions(
    settings: Settings, name: str, value: object
) -> None:
    async with Store.open(settings.database_url) as store:
        for _ in range(3):
            assert await store.writer.submit(pragma, name) == value


async def test_readers_cannot_write(settings: Settings) -> None:
    from chat.storage.connection import DatabaseUnavailable

    async with Store.open(settings.database_url) as store:
        with pytest.raises(DatabaseUnavailable):
            await store.readers.rows("DELETE FROM meta")
        assert await store.readers.rows("SELECT 1") == [(1,)]


async def test_many_readers_share_the_few_connections(settings: Settings) -> None:
    async with Store.open(settings.database_url) as store:
        found = await asyncio.gather(*(store.readers.row("SELECT :n", {"n": n}) for n in range(200)))
        assert found == [(n,) for n in range(200)]


async def test_a_cancelled_read_leaves_its_connection_usable(settings: Settings) -> None:
    async with Store.open(settings.database_url) as store:
        for _ in range(10):
            reading = asyncio.create_task(store.readers.rows("SELECT 1"))
            await asyncio.sleep(0)
            reading.cancel()
        assert await asyncio.gather(*(store.readers.rows("SELECT 2") for _ in range(10))) == [[(2,)]] * 10


@pytest.mark.parametrize("folder", ["with space", "pct%20", "question?mark", "hash#", "ünï☕"])
async def test_the_data_may_lie_in_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    settings = load({"data_dir": str(tmp_path / folder), "bcrypt_cost": "4"}, {})
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1") as chat:
        await signed_in(chat, "ann")
    assert (tmp_path / folder / "chat.db").exists()
    assert os.listdir(tmp_path) == [folder]  # noqa: PTH208 - blocking for a moment is fine here


async def rows_in(chat: Chat) -> dict[str, int]:
    tables = ("rooms", "room_log", "messages", "reactions", "user_log", "sessions", "refresh_tokens", "tickets")
    counts = {}
    for table in tables:
        counts[table] = int((await chat.store.readers.rows(f"SELECT count(*) FROM {table}"))[0][0])
    return counts


async def test_what_is_old_is_removed_and_what_is_needed_stays(settings: Settings) -> None:
    clock = Clock()
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1", now=clock) as chat:
        ann, bob = await signed_in(chat, "ann"), await signed_in(chat, "bob")
        kept, gone = await chat.rooms.create(ann, "tea"), await chat.rooms.create(ann, "coffee")
        for room in (kept, gone):
            sent = await chat.messages.send(ann, room.id, "x")
            await chat.reactions.add(ann, sent.message.id, "👍")
        await chat.tickets.issue(ann, origin=None)
        await chat.sessions.logout(bob)
        await chat.rooms.delete(ann, gone.id)
        keep = Keep(user_log_days=2, room_log_days=0)
        assert await retention.prune(chat.store, keep) == 0
        clock.now_s += 8 * DAY_S
        await retention.prune(chat.store, keep)
        assert await rows_in(chat) == {
            "rooms": 1,
            "room_log": 3,
            "messages": 1,
            "reactions": 1,
            "user_log": 0,
            "sessions": 1,
            "refresh_tokens": 1,
            "tickets": 0,
        }
        assert await chat.log.room_heads([kept.id]) == {kept.id: (3, 1)}


async def test_a_rooms_old_events_may_go_but_for_those_that_clients_resume_from(settings: Settings) -> None:
    clock = Clock()
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1", now=clock) as chat:
        ann = await signed_in(chat, "ann")
        room = await chat.rooms.create(ann, "tea")
        await asyncio.gather(*(chat.messages.submit(ann, room.id, "x") for _ in range(1_599)))
        clock.now_s += 31 * DAY_S
        await retention.prune(chat.store, Keep(user_log_days=2, room_log_days=30))
        assert [e.rev for e in await chat.log.room_events(room.id, 0, 5_000)] == list(range(601, 1_601))
        assert (await chat.rooms.get(room.id)).seq == 1_599


def test_retention_is_a_setting(tmp_path: Path) -> None:
    settings = read(tmp_path, options={"keep_room_log_days": "30", "keep_user_log_days": "5"}, env={}, file={})
    assert (settings.keep_room_log_days, settings.keep_user_log_days) == (30, 5)
