"""The rules of restarting, as values: how long to wait after an exit, and what is a crash loop."""

from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_S = 60
EXITS_IN_WINDOW = 5
EXITS_BEFORE_READY = 3
BAKE_EXITS = 3  # as many crashes in one bake are a failed bake, even spread too thin for a crash loop
_FIRST_DELAY_S = 0.5
_LOOP_DELAY_S = 60
_LOOP_DELAY_MAX_S = 300


@dataclass(frozen=True, slots=True)
class Restart:
    """Start again after *delay_s*; in a crash loop that is minutes, and somebody must be told."""

    delay_s: float
    crash_loop: bool


def after_exit(exits_at: Sequence[float], *, early: int, now: float) -> Restart:
    """What to do after the exit that is last in *exits_at* (monotonic seconds, oldest first).

    *early* counts the exits in a row, this one included, before the service was ready. The first restart is at once.
    """
    recent = [at for at in exits_at if now - at < WINDOW_S]
    excess = max(len(recent) - EXITS_IN_WINDOW, early - EXITS_BEFORE_READY)
    if excess >= 0:
        return Restart(min(_LOOP_DELAY_S * 2**excess, _LOOP_DELAY_MAX_S), crash_loop=True)
    before = max(len(recent), early) - 1
    return Restart(_FIRST_DELAY_S * 2 ** (before - 1) if before > 0 else 0, crash_loop=False)


def exit_text(code: int | None) -> str:
    """An exit code as people say it; negative is a signal, None unknown."""
    if code is None:
        return "ended, exit code unknown"
    return f"killed by signal {-code}" if code < 0 else f"exited with {code}"
