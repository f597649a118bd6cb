"""One process's hold on the database: the writer and the readers, opened and closed together."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chat.protocol.log import Committed
from chat.storage.connection import DatabaseUnavailable, Readers
from chat.storage.glance import Glance
from chat.storage.schema import SchemaFault, Version, fault_of, judge, path_of, prepare, serving, url_of
from chat.storage.writer import Writer


@dataclass(frozen=True, slots=True)
class Store:
    """The writer and the readers of one database."""

    path: Path
    version: Version
    writer: Writer
    readers: Readers

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        database_url: str,
        *,
        on_commit: Callable[[Committed], None] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> AsyncIterator["Store"]:
        """Open a database, made if there is none; at the end what is queued is written first.

        Raises `SchemaFault`, `OSError`.
        """
        path = path_of(database_url)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with serving(path):
            version = await asyncio.to_thread(prepare, path)
            readers = Readers(url_of(path), glance=Glance(path))
            writer = Writer(path, on_commit=on_commit, now=now)
            try:
                await _opened(path, writer, readers)
                yield cls(path, version, writer, readers)
            finally:
                await writer.close()
                await readers.close()

    async def check(self) -> list[str]:
        """What keeps this database from being served: `database`, `schema`; empty if nothing does."""
        try:
            said: dict[str, str] = dict(await self.readers.rows("SELECT key, value FROM meta"))
            judge(self.path, Version(int(said["schema"]), int(said["oldest_compatible"]), said["epoch"]))
        except (SchemaFault, KeyError, ValueError):
            return ["schema"]
        except DatabaseUnavailable:
            return ["database"]
        return [] if await self.writer.works() else ["database"]


async def _opened(path: Path, writer: Writer, readers: Readers) -> None:
    try:
        await writer.open()
        await readers.open()
    except DatabaseUnavailable as fault:
        raise fault_of(path, fault.__cause__) from fault
