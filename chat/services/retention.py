"""Retention: what is old enough is removed in the background, a little at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from chat.protocol.errors import Unavailable
from chat.storage import retention
from chat.storage.retention import Keep
from chat.storage.store import Store

log = structlog.get_logger()

EVERY_S = 3600.0
PAUSE_S = 0.05


async def prune(store: Store, keep: Keep) -> int:
    """Remove all that is old enough, with pauses for everybody else; returns how many rows went."""
    removed = 0
    while went := await store.writer.submit(retention.prune, keep):
        removed += went
        await asyncio.sleep(PAUSE_S)
    return removed


@asynccontextmanager
async def kept(store: Store, keep: Keep) -> AsyncIterator[None]:
    """Prune now and every hour."""

    async def run() -> None:
        while True:
            try:
                await prune(store, keep)
            except Unavailable:
                pass  # the next round will do
            except Exception:  # boundary: the service goes on, whatever befell its tidying
                log.exception("retention.failed")
            await asyncio.sleep(EVERY_S)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
