"""What is read in the event loop itself: as fresh as any read, never in the way of the log, and never the end of it."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from chat.settings import Settings
from chat.storage.connection import DatabaseUnavailable
from chat.storage.store import Store

ASK = "SELECT value FROM meta WHERE key = :key"


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    async with Store.open(settings.database_url) as store:
        yield store


def write(store: Store, value: str) -> None:
    """Commit as another process would."""
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute(
            "INSERT INTO meta VALUES ('x', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (value,)
        )


async def test_what_another_process_has_committed_is_seen_at_once(store: Store) -> None:
    assert await store.readers.one(ASK, {"key": "x"}) is None
    for value in ("1", "2"):
        write(store, value)
        assert await store.readers.one(ASK, {"key": "x"}) == (value,)


async def test_between_two_reads_the_log_can_be_folded_in_whole(store: Store) -> None:
    write(store, "1")
    assert await store.readers.one(ASK, {"key": "x"}) == ("1",)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not busy
    assert await store.readers.one(ASK, {"key": "x"}) == ("1",)


async def test_it_cannot_write(store: Store) -> None:
    with pytest.raises(DatabaseUnavailable):
        await store.readers.one("DELETE FROM meta WHERE key = :key", {"key": "schema"})
    assert await store.readers.one(ASK, {"key": "schema"}) is not None


async def test_where_the_loop_cannot_read_a_thread_does(store: Store) -> None:
    write(store, "1")
    assert await store.readers.one(ASK, {"key": "x"}) == ("1",)
    held = store.readers._glance._connection
    assert held is not None
    held.close()
    for _ in range(2):  # by a thread, then by a connection opened anew
        assert await store.readers.one(ASK, {"key": "x"}) == ("1",)
    assert store.readers._glance._connection not in {None, held}
