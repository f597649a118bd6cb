"""Trouble with the file: full, read-only, damaged, of another release. The process stays up and recovers by itself."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from chat.protocol.errors import Fault, Unavailable
from chat.settings import Settings
from chat.storage.connection import DatabaseUnavailable
from chat.storage.schema import NotOurs, SchemaTooNew, SchemaTooOld, migrate, prepare, version
from chat.storage.store import Store
from chat.storage.transaction import Transaction, bulk, single
from chat.storage.writer import QUEUE_SIZE
from tests.conftest import lacking


@single
async def note(tx: Transaction, text: str) -> str:
    await tx.rows("INSERT INTO meta (key, value) VALUES (:key, 'x')", {"key": text})
    return text


@single
async def fails(tx: Transaction, text: str) -> str:
    await tx.rows("INSERT INTO meta (key, value) VALUES (:key, 'x')", {"key": text})
    raise Fault("no")


@bulk
async def broken(tx: Transaction, asks: object) -> list[str]:
    raise RuntimeError("a bug")


async def noted(store: Store) -> set[str]:
    rows = await store.readers.rows("SELECT key FROM meta WHERE value = 'x'")
    return {key for (key,) in rows}


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    async with Store.open(settings.database_url) as store:
        yield store


async def test_a_fault_undoes_its_own_operation_and_no_other_of_the_batch(store: Store) -> None:
    done = [store.writer.submit(kind, f"{n}") for n, kind in enumerate([note, fails, note, fails, note])]
    results = await asyncio.gather(*done, return_exceptions=True)
    assert [r if isinstance(r, str) else type(r) for r in results] == ["0", Fault, "2", Fault, "4"]
    assert await noted(store) == {"0", "2", "4"}


async def test_a_bug_in_one_operation_fails_only_that_one(store: Store) -> None:
    before, bug, after = (
        store.writer.submit(note, "before"),
        store.writer.submit(broken, "x"),
        store.writer.submit(note, "after"),
    )
    with pytest.raises(RuntimeError):
        await bug
    assert (await before, await after) == ("before", "after")
    assert await noted(store) == {"before", "after"}


async def test_a_full_queue_says_unavailable(store: Store) -> None:
    queued = [store.writer.submit(note, str(n)) for n in range(QUEUE_SIZE)]
    with pytest.raises(Unavailable):
        store.writer.submit(note, "one more")
    for done in queued[100:]:
        done.cancel()
    store.writer._queue.clear()


async def test_what_is_queued_at_the_end_is_still_written(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'chat.db'}"
    async with Store.open(url) as store:
        queued = [store.writer.submit(note, str(n)) for n in range(50)]
    assert all(done.done() for done in queued)
    with pytest.raises(Unavailable):
        store.writer.submit(note, "late")
    async with Store.open(url) as store:
        assert len(await noted(store)) == 50


FULL = """
import asyncio, resource, signal, sys
from chat.protocol.errors import Unavailable
from chat.storage.store import Store
from chat.storage.transaction import single

@single
async def note(tx, text):
    await tx.rows("INSERT INTO meta (key, value) VALUES (:key, :value)", {"key": text, "value": "x" * 100_000})
    return text

async def main() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with Store.open(sys.argv[1]) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
        stored = []
        try:
            for n in range(100):
                stored.append(await store.writer.submit(note, f"n{n}"))
        except Unavailable:
            pass
        assert 0 < len(stored) < 100, len(stored)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))  # now not a page fits
        assert await store.check() == ["database"], await store.check()
        readable = await store.readers.rows("SELECT count(*) FROM meta WHERE key LIKE 'n%'")
        assert readable == [(len(stored),)], readable
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert await store.check() == [], await store.check()
        await store.writer.submit(note, "recovered")
    print("fine")

asyncio.run(main())
"""


def test_a_full_disk_refuses_writes_keeps_reading_and_recovers_by_itself(settings: Settings) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, settings.database_url], capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("fine\n"), done.stderr[-2000:]


async def test_a_writer_locked_out_says_unavailable_and_recovers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.writer._connection.rows("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as hog:
        hog.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable):
            await store.writer.submit(note, "locked out")
        hog.execute("ROLLBACK")
    assert await store.writer.submit(note, "back") == "back"
    assert await noted(store) == {"back"}


@pytest.mark.parametrize("damage", [b"this is no database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
async def test_a_damaged_file_is_refused_with_the_remedy_and_left_as_it_is(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "chat.db"
    path.write_bytes(damage)
    with pytest.raises(NotOurs, match="chat restore"):
        async with Store.open(f"sqlite:///{path}"):
            pass
    assert path.read_bytes() == damage


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    with pytest.raises(NotOurs):
        await asyncio.to_thread(prepare, path)


def set_meta(path: Path, **values: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for key, value in values.items():
            db.execute("UPDATE meta SET value = ? WHERE key = ?", (str(value), key))


def test_a_schema_too_old_is_not_served_and_the_remedy_is_named(tmp_path: Path) -> None:
    prepare(tmp_path / "chat.db")
    set_meta(tmp_path / "chat.db", schema=0)
    with pytest.raises(SchemaTooOld, match="chat migrate"):
        prepare(tmp_path / "chat.db")


def test_a_newer_schema_is_served_as_long_as_it_is_compatible(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    prepare(path)
    set_meta(path, schema=7)
    assert prepare(path).schema == 7
    assert migrate(path).schema == 7
    set_meta(path, oldest_compatible=7)
    with pytest.raises(SchemaTooNew, match="newer release"):
        prepare(path)


async def test_readiness_tells_a_schema_that_went_away_under_a_running_process(store: Store) -> None:
    set_meta(store.path, oldest_compatible=99)
    assert await store.check() == ["schema"]


def test_two_processes_that_make_the_database_at_once_make_one(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from chat.storage.schema import prepare;"
        "print(prepare(Path(sys.argv[1])).epoch)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "chat.db")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    epochs = {process.communicate()[0] for process in both}
    assert len(epochs) == 1
    assert version(tmp_path / "chat.db") is not None


def test_the_migrations_lead_to_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine, pool

    from chat.storage.tables import metadata

    prepare(tmp_path / "chat.db")
    engine = create_engine(f"sqlite:///{tmp_path / 'chat.db'}", poolclass=pool.NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_directory_that_may_not_be_written_is_a_clear_error() -> None:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        lacking("as root nothing is unwritable", install="apt-get install util-linux")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        code = (
            "import sys; from chat.cli import main; sys.argv = ['chat', 'migrate', '--data-dir', sys.argv[1]]; main()"
        )
        command = [sys.executable, "-c", code, folder]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "chat.cli" in done.stderr:
            pytest.skip("this checkout cannot be read by another user")
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
        assert folder in done.stderr
