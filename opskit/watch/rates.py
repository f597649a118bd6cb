"""How often a service fails, as values: answers counted from its metrics, and exits within a window."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from opskit.deploy.supervisor.policy import BAKE_EXITS

CRASH_WINDOW = timedelta(minutes=10)
CRASHES = BAKE_EXITS  # as many exits within the window are a spike, as they are in a bake
ERROR_WINDOW = timedelta(minutes=5)
ERRORS = 3  # so few failures are no rate, whatever their share
ERROR_SHARE = 0.05

_SAMPLE = re.compile(r"(?P<name>[A-Za-z_:][\w:]*)\{(?P<labels>.*)\}\s+(?P<value>\S+)")
_STATUS = re.compile(r'(?:^|,)\s*(?:status|status_code|code|http_status|http_code)="([1-5]\d\d|[1-5]xx)"')
_COUNTED = ("_total", "_count")  # a counter, and how many a histogram or summary saw (OpenMetrics 1.0)


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests answered since a process began, and how many of those with 5xx."""

    requests: int
    failed: int

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.requests + other.requests, self.failed + other.failed)

    def since(self, earlier: "Tally") -> "Tally":
        """What came on top of *earlier*; a counter that went back began anew, so all of it did."""
        if earlier.served > self.served or earlier.failed > self.failed:
            return self
        return Tally(self.requests - earlier.requests, self.failed - earlier.failed)

    @property
    def served(self) -> int:
        """Those answered with anything else."""
        return self.requests - self.failed

    @property
    def spike(self) -> bool:
        """True if the service fails too often."""
        return self.failed >= ERRORS and self.failed >= ERROR_SHARE * self.requests


def tally(metrics: str) -> Tally | None:
    """The answers that a Prometheus text exposition counts by HTTP status; None if it has no such counter.

    Counted are samples named `…_total` or `…_count` with a label `status`, `status_code`, `code`, `http_status` or
    `http_code` that is an HTTP status (`503`, `5xx`).
    """
    requests = failed = 0.0
    found = False
    for line in metrics.splitlines():
        sample = _SAMPLE.match(line)
        if sample is None or not sample["name"].endswith(_COUNTED):
            continue
        status = _STATUS.search(sample["labels"])
        value = _number(sample["value"])
        if status is None or value is None:
            continue
        found = True
        requests += value
        failed += value if status[1].startswith("5") else 0
    return Tally(round(requests), round(failed)) if found else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None


def crashes(records: Iterable[Mapping[str, Any]], *, commit: str, now: datetime) -> list[datetime]:
    """When the processes of release *commit* ended by themselves within the window, by the telemetry *records*."""
    found = []
    for record in records:
        if record.get("event") == "service.exited" and record.get("commit") == commit:
            at = moment(record.get("at"))
            if at is not None and now - at <= CRASH_WINDOW:
                found.append(at)
    return found


def moment(text: Any) -> datetime | None:
    """An RFC 3339 time with its zone, None for anything else."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else None
