"""One timer for the heartbeats of all connections: those due within the same slot are called together.

A timer of its own for each wakes the loop as many times a second as there are beats, to do a few microseconds' work
with cold caches; a hashed wheel (Varghese and Lauck, SOSP 1987) wakes it once for all of a slot.
"""

import asyncio
import math
from collections.abc import Callable

Call = Callable[[], None]


class Wheel:
    """Calls what joined it once its delay has passed, at most *slot_s* late. Makes no timer while nothing waits."""

    def __init__(self, slot_s: float) -> None:
        self._slot_s = slot_s
        self._slots: dict[int, dict[Call, None]] = {}  # number of the slot, in loop time: calls in order
        self._timer: asyncio.TimerHandle | None = None

    def join(self, call: Call, delay_s: float) -> int:
        """Call *call* in *delay_s*; the number is what `leave` wants."""
        slot = math.ceil((asyncio.get_running_loop().time() + delay_s) / self._slot_s)
        self._slots.setdefault(slot, {})[call] = None
        if self._timer is None:
            self._wind()
        return slot

    def leave(self, call: Call, slot: int) -> None:
        """Do not call *call* after all; in the turn of its slot it is too late for that."""
        if calls := self._slots.get(slot):
            calls.pop(call, None)

    def _wind(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at((math.floor(loop.time() / self._slot_s) + 1) * self._slot_s, self._turn)

    def _turn(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time() / self._slot_s
        for slot in sorted(slot for slot in self._slots if slot <= now):
            for call in self._slots.pop(slot):
                loop.call_soon(call)  # by itself: what one raises is not the others' affair
        if self._slots:
            self._wind()
