"""Held connections: opened once through `databases`, set up by PRAGMA, used with ready-made SQL."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import databases

from chat.protocol.errors import Unavailable
from chat.storage.glance import Glance

# 32 MiB of WAL, as much as the page cache. With SQLite's own 1,000 the pages of busy rooms are written back every few
# commits, and somebody's commit waits for it.
CHECKPOINT_PAGES = 8_000
BUSY_MS = 5_000  # how long to wait for the other process that shares the file during a deploy
READ_DEADLINE_S = 10.0

# databases opens a connection (and a thread) per call outside a held one, and forgets PRAGMAs with it.
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
    f"PRAGMA busy_timeout = {BUSY_MS}",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -32768",
    "PRAGMA trusted_schema = OFF",
)

Row = tuple[Any, ...]
Parameters = Mapping[str, Any] | Sequence[Any]
Statement = tuple[str, Parameters]
"""SQL and its parameters."""


class DatabaseUnavailable(Unavailable):
    """The database cannot be used just now: full, read-only, locked, damaged or gone."""

    def __init__(self, cause: BaseException | str) -> None:
        super().__init__("the database cannot be used just now", retry_after_ms=1000)
        self.cause = str(cause)


class Connection:
    """One held connection. What is run together is one hop to its thread and back (about 26 µs)."""

    def __init__(self, url: str) -> None:
        self._database = databases.Database(url)
        self._held: databases.core.Connection | None = None
        self._raw: Any = None

    async def open(self, *, read_only: bool = False) -> None:
        """Open and set up; raises `DatabaseUnavailable`."""
        try:
            await self._database.connect()
            self._held = await self._database.connection().__aenter__()
            self._raw = self._held.raw_connection
            for pragma in PRAGMAS:
                await self._raw.execute_fetchall(pragma)
            if read_only:
                await self._raw.execute_fetchall("PRAGMA query_only = ON")
        except (sqlite3.Error, OSError) as fault:
            await self.close()
            raise DatabaseUnavailable(fault) from fault

    async def close(self) -> None:
        """Close for good or until `open`; never raises."""
        held, self._held, self._raw = self._held, None, None
        try:
            if held is not None:
                await held.__aexit__()
            await self._database.disconnect()
        except (sqlite3.Error, ValueError):  # a broken connection is closed as far as it can be
            pass

    async def rows(
        self, sql: str, parameters: Parameters | None = None, *, first: Sequence[Statement] = ()
    ) -> list[Row]:
        """Run those *first*, then one statement, and return its rows; raises `sqlite3.Error` as it comes."""
        if self._raw is None:
            raise sqlite3.OperationalError("the connection is closed")
        run = partial(_run, self._raw._conn, first, sql, parameters or {})
        found: list[Row] = await self._raw._execute(run)
        return found

    async def row(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Row | None:
        """The first row of one statement."""
        found = await self.rows(sql, parameters)
        return found[0] if found else None


def _run(connection: sqlite3.Connection, first: Sequence[Statement], sql: str, parameters: Parameters) -> list[Row]:
    for before in first:
        connection.execute(*before)
    return connection.execute(sql, parameters).fetchall()


class _Reader(NamedTuple):
    connection: Connection
    broken: bool = False


class Readers:
    """A few held connections for reading, shared by everybody.

    Each read is one statement, hence one consistent view. What returns many rows should gather them into one JSON
    value in SQL: SQLite's module lets go of the interpreter at every row, and has to wait to get it back.
    """

    def __init__(self, url: str, *, glance: Glance, count: int = 3) -> None:
        self._url, self._glance, self._count = url, glance, count
        self._free: asyncio.LifoQueue[_Reader] = asyncio.LifoQueue()

    async def open(self) -> None:
        """Open all; raises `DatabaseUnavailable`."""
        for _ in range(self._count):
            connection = Connection(self._url)
            await connection.open(read_only=True)
            self._free.put_nowait(_Reader(connection))

    async def close(self) -> None:
        """Close those that are not in use."""
        self._glance.close()
        while not self._free.empty():
            await self._free.get_nowait().connection.close()

    @asynccontextmanager
    async def _one(self) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(READ_DEADLINE_S):
                reader = await self._free.get()
        except TimeoutError as fault:
            raise DatabaseUnavailable("no reader got free") from fault
        broken = True
        try:
            if reader.broken:
                await reader.connection.close()
                await reader.connection.open(read_only=True)
            yield reader.connection
            broken = False
        except asyncio.CancelledError:
            broken = False  # the statement ends in its thread, the next one queues behind it
            raise
        except sqlite3.Error as fault:
            raise DatabaseUnavailable(fault) from fault
        finally:
            self._free.put_nowait(_Reader(reader.connection, broken))

    async def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """Read with one statement; raises `DatabaseUnavailable`. Safe to cancel."""
        async with self._one() as connection:
            return await connection.rows(sql, parameters)

    async def row(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Row | None:
        """The first row that one statement reads."""
        found = await self.rows(sql, parameters)
        return found[0] if found else None

    async def one(self, sql: str, parameters: Mapping[str, Any]) -> Row | None:
        """As `row`, for what a key or two lead to: read at once, without a hop to a thread, unless that has to wait."""
        try:
            return self._glance.row(sql, parameters)
        except sqlite3.Error:
            return await self.row(sql, parameters)
