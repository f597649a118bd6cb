"""What a flood costs the others: it is read a slice at a time, and waits meanwhile."""

import asyncio
from typing import Any, cast

from chat.web.hardening.straight import SLICE_BYTES, Straight


class Stream:
    """As much of Hypercorn's stream as the reading needs; it is its own connection."""

    def __init__(self) -> None:
        self.closed = False
        self.connection = self
        self.read: list[bytes] = []

    def receive_data(self, data: bytes) -> None:
        self.read.append(data)


class Transport:
    """Only notes whether the peer may go on."""

    def __init__(self) -> None:
        self.paused = self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def begun() -> tuple[Straight, Stream, Transport]:
    stream, transport = Stream(), Transport()
    return Straight(asyncio.Protocol(), cast("Any", stream), cast("Any", transport)), stream, transport


async def turns_of(transport: Transport) -> int:
    """How often others had their turn until the peer may go on."""
    turns = 0
    while transport.paused:
        await asyncio.sleep(0)
        turns += 1
    return turns


async def test_what_is_short_is_read_at_once() -> None:
    straight, stream, transport = begun()
    straight.data_received(b"x" * SLICE_BYTES)
    assert stream.read == [b"x" * SLICE_BYTES]
    assert not transport.paused


async def test_others_have_their_turn_between_the_slices_of_a_flood() -> None:
    straight, stream, transport = begun()
    flood = bytes(range(256)) * (10 * SLICE_BYTES // 256) + b"the end"
    straight.data_received(flood)
    assert (len(stream.read), transport.paused) == (1, True)
    assert await turns_of(transport) == 10
    assert b"".join(stream.read) == flood
    assert max(map(len, stream.read)) == SLICE_BYTES


async def test_what_comes_while_a_flood_is_read_keeps_its_place() -> None:
    straight, stream, transport = begun()
    straight.data_received(b"1" * 2 * SLICE_BYTES)
    straight.data_received(b"2")
    await turns_of(transport)
    assert b"".join(stream.read) == b"1" * 2 * SLICE_BYTES + b"2"


async def test_a_flood_ends_with_its_connection() -> None:
    straight, stream, transport = begun()
    straight.data_received(b"x" * 5 * SLICE_BYTES)
    transport.closing = True
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(stream.read) == 2
