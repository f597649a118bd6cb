"""What is known of each check and what people were told of it, as values: a change is told once, and so is its end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CHECKS = ("health", "crashes", "errors", "smoke")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one check saw. `skipped`: it could not be made, so it neither raises nor ends an alarm."""

    check: str
    ok: bool
    detail: str
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """What of a round is to be told."""

    failing: tuple[Seen, ...] = ()
    well: tuple[Seen, ...] = ()


def news(round_: Iterable[Seen], told: Mapping[str, bool]) -> News:
    """What differs from what was told; a check that nobody was told of counts as well."""
    differ = [seen for seen in round_ if not seen.skipped and seen.ok != told.get(seen.check, True)]
    return News(tuple(seen for seen in differ if not seen.ok), tuple(seen for seen in differ if seen.ok))


def told_before(records: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """What was last told of each check, by the telemetry of earlier watches."""
    return {
        str(record["check"]): bool(record["told"])
        for record in records
        if record.get("event") == "watch" and "check" in record and "told" in record
    }


def as_events(found: News, *, target: str, version: str) -> Sequence[Mapping[str, Any]]:
    """The alerts to send, as `opskit.alerts` takes them."""
    both = (("watch.failed", found.failing), ("watch.recovered", found.well))
    return [
        {
            "event": event,
            "target": target,
            "version": version,
            "checks": [{"check": seen.check, "detail": seen.detail} for seen in some],
        }
        for event, some in both
        if some
    ]
