"""The one timer for many: on time, never early, and gone when nobody waits."""

import asyncio
from collections.abc import Iterator

import pytest

from chat.web.wheel import Wheel


class Loop(asyncio.SelectorEventLoop):
    """A loop whose clock is moved by hand; what is due runs when it is."""

    now_s = 1000.0

    def time(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float, *, step_s: float = 0.01) -> None:
        """Let time go by in small steps."""
        for _ in range(round(seconds / step_s)):
            self.now_s += step_s
            self.run_until_complete(asyncio.sleep(0))
            self.run_until_complete(asyncio.sleep(0))


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def joined(loop: Loop, wheel: Wheel, called_s: list[float], delay_s: float) -> int:
    """Join *wheel* from within the loop, noting when the call comes."""

    async def join() -> int:
        return wheel.join(lambda: called_s.append(loop.now_s), delay_s)

    return loop.run_until_complete(join())


def test_a_call_comes_when_its_delay_has_passed_and_at_most_a_slot_later(loop: Loop) -> None:
    wheel, called_s = Wheel(0.25), list[float]()
    for number in range(100):
        joined(loop, wheel, called_s, 20 + number / 100)
    loop.pass_s(21.5)
    assert len(called_s) == 100
    assert all(-0.001 <= at_s - 1020 - number / 100 <= 0.27 for number, at_s in enumerate(called_s))
    assert len(set(called_s)) <= 6  # of a hundred, in slots of a quarter of a second


def test_who_left_is_not_called_and_the_others_are(loop: Loop) -> None:
    wheel, left_s, stayed_s = Wheel(0.25), list[float](), list[float]()
    call = lambda: left_s.append(loop.now_s)  # noqa: E731 - the wheel knows a call by its identity

    async def join_and_leave() -> None:
        wheel.leave(call, wheel.join(call, 1))

    joined(loop, wheel, stayed_s, 1)
    loop.run_until_complete(join_and_leave())
    loop.pass_s(2)
    assert (len(stayed_s), left_s) == (1, [])


def test_what_one_call_raises_does_not_keep_the_others_waiting(loop: Loop) -> None:
    wheel, called_s, faults = Wheel(0.25), list[float](), list[str]()
    loop.set_exception_handler(lambda _loop, context: faults.append(str(context["exception"])))

    async def join() -> None:
        wheel.join(lambda: 1 // 0, 1)  # type: ignore[arg-type]  # what it gives does not matter

    loop.run_until_complete(join())
    joined(loop, wheel, called_s, 1)
    joined(loop, wheel, called_s, 3)
    loop.pass_s(4)
    assert (len(called_s), len(faults)) == (2, 1)


def test_a_wheel_nobody_waits_at_stands_still(loop: Loop) -> None:
    wheel, called_s = Wheel(0.25), list[float]()
    joined(loop, wheel, called_s, 1)
    loop.pass_s(2)
    assert called_s
    assert not loop._scheduled  # type: ignore[attr-defined]  # asyncio's own heap of timers
    joined(loop, wheel, called_s, 1)
    loop.pass_s(2)
    assert len(called_s) == 2
