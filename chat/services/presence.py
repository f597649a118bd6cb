"""Presence: who is connected to any process, told to the database in batches and kept alive by a lease."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

import structlog

from chat.protocol.errors import Unavailable
from chat.protocol.log import PresenceEvent
from chat.storage import presence
from chat.storage.presence import Change
from chat.storage.store import Store

LEASE_S = 20.0  # a killed process's users are offline after this and one tick
RENEW_S = 5.0
TICK_S = 1.0
PATIENCE_S = 2.0

OFFLINE, ONLINE = 0, -1  # or, for a user held over, until when (ms)


log = structlog.get_logger()


class Presence:
    """Who is online. Changes that come while one is being written leave together with the next."""

    def __init__(self, store: Store, *, process_id: str, now: Callable[[], float] = time.time) -> None:
        self._store, self._process_id, self._now = store, process_id, now
        self._here: set[str] = set()
        self._pending: dict[str, int] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._renewed_s = 0.0

    async def connected(self, user_id: str) -> None:
        """The user's first connection to this process came."""
        self._here.add(user_id)
        await self._say(user_id, ONLINE)

    async def disconnected(self, user_id: str) -> None:
        """The user's last connection to this process went."""
        self._here.discard(user_id)
        await self._say(user_id, OFFLINE)

    async def held_over(self, user_id: str, until: float) -> None:
        """The last connection was closed by us, and is expected back: online until then (Unix seconds)."""
        self._here.discard(user_id)
        await self._say(user_id, int(until * 1000))

    async def online(self, user_ids: Iterable[str]) -> dict[str, tuple[bool, str | None]]:
        """Per user whether online, and when last active (null: never connected)."""
        return await presence.online(self._store.readers, list(user_ids))

    async def changes(self, after: int, limit: int = 1000) -> list[PresenceEvent]:
        """Who came or went on any process after a number, in order."""
        return await presence.changes_between(self._store.readers, after=after, limit=limit)

    async def head(self) -> int:
        """The number of the newest change."""
        return await presence.head(self._store.readers)

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Renew the lease, write changes, notice who lapsed; at the end the process is gone, held users stay."""
        keeper = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
            with suppress(Unavailable):
                await self._write(gone=True)

    async def _say(self, user_id: str, state: int) -> None:
        self._pending[user_id] = state
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(written)
        self._wake.set()
        with suppress(TimeoutError):  # nobody is kept from talking because presence is late
            async with asyncio.timeout(PATIENCE_S):
                await written

    async def _keep(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            try:
                if await self._due():
                    await self._write()
            except Unavailable:
                await asyncio.sleep(TICK_S)  # it is told once writing works again
            except Exception:  # boundary: presence goes on, whatever befell one change
                log.exception("presence.failed")
            for written in waiting:
                if not written.done():
                    written.set_result(None)

    async def _due(self) -> bool:
        now_s = self._now()
        if self._pending or now_s - self._renewed_s >= RENEW_S:
            return True
        return await presence.lapsing(self._store.readers, now_ms=int(now_s * 1000))

    async def _write(self, *, gone: bool = False) -> None:
        now_s = self._now()
        if now_s - self._renewed_s >= LEASE_S:  # others may have taken us for dead
            self._pending = dict.fromkeys(self._here, ONLINE) | self._pending
        said, self._pending = self._pending, {}
        change = Change(
            process_id=self._process_id,
            lease_until_ms=0 if gone else int((now_s + LEASE_S) * 1000),
            online=tuple(user_id for user_id, state in said.items() if state == ONLINE),
            offline=tuple(user_id for user_id, state in said.items() if state != ONLINE),
            held=tuple((user_id, state) for user_id, state in said.items() if state > OFFLINE),
        )
        try:
            await self._store.writer.submit(presence.change, change)
        except Unavailable:
            self._pending = said | self._pending
            raise
        self._renewed_s = now_s
