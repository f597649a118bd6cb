"""What a delivery costs as a share of one bare write to a transport: a figure that a busy machine does not move."""

import statistics
from contextlib import ExitStack
from dataclasses import dataclass

from loadtests.bench import servers
from loadtests.bench.fanout import Stage, chat_stage, peer_stage, throughput

ROUNDS = 3  # their median counts
MESSAGES = 100  # a round's; over less, the clock of processor time is too coarse


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time of the chat for one delivery, everything included, over that of a loop of bare writes."""

    alone: float  # one message at a time: nothing to merge, so a write each
    piled_up: float  # 32 in flight: what piles up leaves in one write


def cost(*, size: int = 400, direct: bool = True) -> Cost:
    """Measure with a room of *size*, the two servers taking turns; *direct*: frames go straight to the transport."""
    with ExitStack() as stack:
        bare = stack.enter_context(peer_stage(lambda: servers.python("bare writes", "bare.py"), size))
        chat = stack.enter_context(chat_stage(size, direct=direct))
        rounds = [_round(chat, bare) for _ in range(ROUNDS)]
    return Cost(statistics.median(one.alone for one in rounds), statistics.median(one.piled_up for one in rounds))


def _round(chat: Stage, bare: Stage) -> Cost:
    alone, piled_up, write = _cpu_us(chat, in_flight=1), _cpu_us(chat, in_flight=32), _cpu_us(bare, in_flight=1)
    return Cost(alone / write, piled_up / write)


def _cpu_us(stage: Stage, *, in_flight: int) -> float:
    return throughput(stage, messages=MESSAGES, in_flight=in_flight).cpu_us
