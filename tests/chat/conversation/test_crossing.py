"""What one process commits reaches the clients of the other: messages, reactions, cursors, membership, presence."""

import asyncio
import statistics

from loadtests.bench_crossing import measure, table
from tests.chat.server import Server

MEDIAN_MS = 1_000  # where other things run; where nothing else does it is the contract's 100, see the benchmark
ROUNDS = 3


async def test_everything_crosses_between_processes(pair: list[Server]) -> None:
    waits_ms = await asyncio.to_thread(measure, pair[0].port, pair[1].port, rounds=ROUNDS)
    print(table(waits_ms))
    assert {kind: len(waits) for kind, waits in waits_ms.items()} == dict.fromkeys(waits_ms, ROUNDS)
    assert all(statistics.median(waits) < MEDIAN_MS for waits in waits_ms.values()), waits_ms
