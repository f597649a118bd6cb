"""A copy of the database while it is in use, and putting one in its place."""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from chat.storage.schema import NotOurs, Version, fault_of, stopped, version_in

COUNTED = ("users", "rooms", "messages", "reactions", "sessions")


class Contents(NamedTuple):
    """What a copy holds."""

    version: Version
    counts: dict[str, int]


def copy(source: Path, target: Path) -> Contents:
    """Copy a database as it is at one moment, without stopping anybody. Raises `SchemaFault`."""
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as live:
            target.touch(mode=0o600)
            with closing(sqlite3.connect(target)) as copied:
                live.backup(copied)  # all pages in one read transaction: writers go on beside it
                copied.execute("PRAGMA journal_mode = DELETE")
        return examine(target)
    except sqlite3.Error as fault:
        raise fault_of(source, fault) from fault


def examine(path: Path) -> Contents:
    """What a copy holds, after checking that it is sound. Raises `NotOurs`."""
    try:
        with closing(sqlite3.connect(path)) as database:
            verdict = database.execute("PRAGMA quick_check(1)").fetchone()
            version = version_in(database)
            if verdict != ("ok",) or version is None:
                raise NotOurs(path, verdict[0] if verdict else "empty")
            counts = {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in COUNTED}
    except (sqlite3.Error, KeyError, ValueError) as fault:
        raise NotOurs(path, fault) from fault
    return Contents(version, counts)


@contextmanager
def replaced(path: Path, *, end_sessions: bool) -> Iterator[Path]:
    """Yield where to put the new database; at the end it takes the place of *path*, with an epoch of its own.

    What was there is kept beside it, under a name with the time. Nothing changes if the block fails.
    Raises `InUse` while a server runs, `SchemaFault`.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.restoring")
    with stopped(path):
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        try:
            yield draft
            examine(draft)
            _begin_epoch(draft, end_sessions=end_sessions)
            _put_aside(path)
            draft.replace(path)
            _sync(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def _begin_epoch(path: Path, *, end_sessions: bool) -> None:
    """Clients must not compare numbers with those of the database before: a new epoch tells them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = FULL")
        database.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (f"e_{secrets.token_hex(8)}",))
        for table in ("presence", "processes", "tickets", *(("sessions",) if end_sessions else ())):
            database.execute(f"DELETE FROM {table}")
        if end_sessions:
            database.execute("DELETE FROM refresh_tokens")


def _put_aside(path: Path) -> None:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    for suffix in ("", "-wal", "-shm"):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(path.with_name(f"{path.name}.before-{stamp}{suffix}"))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
