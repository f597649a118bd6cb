"""Reads of a row or two made in the event loop itself: the hop to a thread and back costs several times the read."""

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

CACHE_KIB = 4096


class Glance:
    """One connection of the event loop's own, for what a key leads to at once. It never waits for a lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close; never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def row(self, sql: str, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The one row that *sql* finds; raises `sqlite3.Error`, after which the connection is another."""
        try:
            if self._connection is None:
                self._connection = self._opened()
            # Fetched whole: a statement left half way would keep the log of the database from being folded in.
            found = self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error:
            self.close()
            raise
        return found[0] if found else None

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        for pragma in ("query_only = ON", "trusted_schema = OFF", f"cache_size = -{CACHE_KIB}"):
            connection.execute(f"PRAGMA {pragma}")
        return connection
