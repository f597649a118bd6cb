"""Waiting for something that tells nobody when it is true."""

import asyncio
from collections.abc import Callable

POLL_S = 0.01


async def until(ready: Callable[[], bool], *, within_s: float) -> bool:
    """Wait for *ready* to become true; tells whether it did in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        if ready():
            return True
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(POLL_S)
