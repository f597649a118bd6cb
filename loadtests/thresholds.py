"""What a load test must reach: limits by name, and the verdict on what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# name: (statistic of the result, its field, limit); a statistic nobody measured is judged by `ALWAYS` only
LIMITS: dict[str, tuple[str, str, float]] = {
    "failures_percent": ("all", "failures_percent", 0.1),
    "connect_p95_ms": ("connect", "p95_ms", 2_000),
    "ack_p99_ms": ("ack", "p99_ms", 500),
    "hear_p99_ms": ("send→hear", "p99_ms", 750),
    "resume_p95_ms": ("resume", "p95_ms", 10_000),
    "http_p95_ms": ("http", "p95_ms", 500),
}
ALWAYS = {"failures_percent", "connect_p95_ms", "ack_p99_ms", "hear_p99_ms"}


@dataclass(frozen=True, slots=True)
class Judged:
    """One threshold and what was seen; `seen` is None if nothing was measured, which is a miss."""

    name: str
    limit: float
    seen: float | None
    ok: bool


def limits_with(overrides: Sequence[str]) -> dict[str, float]:
    """All limits, with *overrides* of the form `ack_p99_ms=200`; raises `ValueError` naming what is wrong with one."""
    limits = {name: limit for name, (_, _, limit) in LIMITS.items()}
    for text in overrides:
        name, _, value = text.partition("=")
        if name not in limits:
            raise ValueError(f"no threshold {name!r}; there is {', '.join(limits)}")
        try:
            limits[name] = float(value)
        except ValueError:
            raise ValueError(f"{text!r} is not of the form {name}=NUMBER") from None
    return limits


def judge(stats: Mapping[str, Mapping[str, Any]], limits: Mapping[str, float]) -> list[Judged]:
    """The verdict on *stats* (by name: `count`, `p95_ms`, …), in the order of `LIMITS`."""
    verdict = []
    for name, (stat, field, _) in LIMITS.items():
        measured = stats.get(stat) or {}
        if not measured.get("count"):
            if name in ALWAYS:
                verdict.append(Judged(name, limits[name], None, False))
            continue
        seen = float(measured[field])
        verdict.append(Judged(name, limits[name], seen, seen <= limits[name]))
    return verdict
