"""What a durable send costs beneath the web: `python -m tests.chat.storage.bench_writer [SENDERS] [SECONDS]`."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from chat.protocol.log import Who
from chat.services import Chat
from chat.settings import read


async def _send(chat: Chat, who: Who, room_id: str, *, until_s: float, waits_ms: list[float]) -> None:
    while (started := time.perf_counter()) < until_s:
        await chat.messages.send(who, room_id, "hello, this is a message of an ordinary length", None)
        waits_ms.append((time.perf_counter() - started) * 1000)


async def bench(senders: int, seconds: float) -> None:
    """Print rate, CPU per message and latencies of *senders* in as many rooms, each sending one at a time."""
    batches: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        settings = read(Path(folder), options={"bcrypt_cost": "4"}, env={}, file={})
        async with Chat.open(settings, on_commit=lambda _: None, process_id="bench") as chat:
            chat.store.writer.on_batch = lambda size, _: batches.append(size)
            rooms = []
            for n in range(senders):
                made = await chat.accounts.register(f"user{n}", "password")
                who = await chat.sessions.authenticate(made.access_token)
                rooms.append((who, (await chat.rooms.create(who, f"room {n}")).id))
            batches.clear()
            waits_ms: list[float] = []
            started, cpu = time.perf_counter(), time.process_time()
            async with asyncio.TaskGroup() as group:
                for who, room_id in rooms:
                    group.create_task(_send(chat, who, room_id, until_s=started + seconds, waits_ms=waits_ms))
            took, cpu = time.perf_counter() - started, time.process_time() - cpu
    waits_ms.sort()
    count = len(waits_ms)
    print(
        f"{count / took:,.0f} durable sends/s, {cpu / count * 1e6:.0f} µs of CPU each, "
        f"p50 {waits_ms[count // 2]:.1f} ms, p99 {waits_ms[count * 99 // 100]:.1f} ms, "
        f"{count / len(batches):.0f} a batch"
    )


if __name__ == "__main__":
    said = [*sys.argv[1:], "100", "5"][-2:] if len(sys.argv) == 1 else [*sys.argv[1:], "5"][:2]
    uvloop.run(bench(int(said[0]), float(said[1])))
