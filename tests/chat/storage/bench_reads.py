"""What reading costs beneath the web: `python -m tests.chat.storage.bench_reads [MESSAGES] [ROOMS]`."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from chat.services import Chat
from chat.settings import read


async def _time(what: str, call: Callable[[], Awaitable[object]], *, seconds: float = 2.0) -> None:
    count, started, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        await call()
        count += 1
    took, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(f"{what}: {count / took:,.0f}/s, {took / count * 1000:.2f} ms each, {cpu / count * 1e6:.0f} µs of CPU")


async def bench(messages: int, rooms: int) -> None:
    """Print the rates of reading in a room of *messages* and for a member of *rooms*."""
    with tempfile.TemporaryDirectory() as folder:
        settings = read(Path(folder), options={"bcrypt_cost": "4", "max_rooms_per_user": "100000"}, env={}, file={})
        async with Chat.open(settings, on_commit=lambda _: None, process_id="bench") as chat:
            made = await chat.accounts.register("user", "password")
            who = await chat.sessions.authenticate(made.access_token)
            small, big = await chat.rooms.create(who, "small"), await chat.rooms.create(who, "big")
            for start in range(0, messages, 5000):
                sends = (chat.messages.submit(who, big.id, f"message {n}") for n in range(start, start + 5000))
                await asyncio.gather(*sends)
            for n in range(100):
                sent = await chat.messages.send(who, small.id, f"message {n}")
                await chat.reactions.add(who, sent.message.id, "👍")
            await _time("newest page, small room with reactions", lambda: chat.messages.history(who, small.id))
            await _time("newest page, big room", lambda: chat.messages.history(who, big.id))
            await _time("a page far back", lambda: chat.messages.history(who, big.id, before=messages // 2))
            await _time("events", lambda: chat.log.catch_up(who, big.id, after_rev=messages // 2))
            await _time("token and session", lambda: chat.sessions.authenticate(made.access_token))
            for n in range(rooms - 2):
                room = await chat.rooms.create(who, f"room {n}")
                await chat.messages.send(who, room.id, "hello")
            await _time(f"my {rooms} rooms", lambda: chat.rooms.mine(who))
            await _time(f"snapshot of {rooms} rooms", lambda: chat.log.snapshot(who.user_id))
            ids = [room.room.id for room in await chat.rooms.mine(who)]
            await _time(f"heads of {rooms} rooms", lambda: chat.log.room_heads(ids))


if __name__ == "__main__":
    said = [int(word) for word in sys.argv[1:]]
    uvloop.run(bench(*(said or [100_000]), *([500] if len(said) < 2 else [])))
