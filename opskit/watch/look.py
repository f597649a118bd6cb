"""The four checks of a watch, made on a target: what they saw in one round. Changes nothing but what smoke does."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from opskit import telemetry
from opskit.deploy import checks, releases, service
from opskit.deploy.context import Context
from opskit.deploy.control import Child, ChildState, Control, Status
from opskit.errors import OpskitError
from opskit.watch.rates import CRASH_WINDOW, CRASHES, ERROR_WINDOW, Tally, crashes, moment, tally
from opskit.watch.standing import CHECKS, Seen

METRICS = "/metrics"
PROBES = 5  # a round, where the service counts nothing itself


@dataclass(slots=True)
class Counted:
    """The answers of one process, sampled: cumulative, oldest first."""

    process: str = ""
    samples: deque[tuple[datetime, Tally]] = field(default_factory=deque)

    def add(self, process: str, now: datetime, total: Tally) -> tuple[Tally, str]:
        """Add a sample; returns what came within the window and since when."""
        if process != self.process:
            self.process, self.samples = process, deque()
        while len(self.samples) > 1 and now - self.samples[1][0] >= ERROR_WINDOW:
            self.samples.popleft()
        base = self.samples[0] if self.samples else None
        self.samples.append((now, total))
        if base is None:
            return total, "since its process began"
        return total.since(base[1]), f"in the last {_span((now - base[0]).total_seconds())}"


class Eyes:
    """Looks at one target, round after round."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.control = Control(context.layout.state_dir)
        self.version = ""  # of what runs, as of the last round
        self.counted = Counted()
        self.probed = Tally(0, 0)
        self.facts: dict[str, dict[str, Any]] = {}  # by check, what goes into telemetry beside what it saw
        self._remember()

    def round(self, names: tuple[str, ...] = CHECKS) -> Iterator[Seen]:
        """Make the checks *names*, each told of as soon as it is made."""
        down = ""
        status = None
        try:
            status = self.control.status() if self.control.alive() else None
        except OpskitError as fault:
            down = str(fault)
        running = status.running if status and status.up else None
        self.version = running.release.version if running else ""
        for name in names:
            if status is None or running is None:
                target = self.context.name
                yield Seen(name, False, down or f"nothing is in service on target {target}; opskit start -t {target}")
            elif status.maintenance:
                yield Seen(name, True, "maintenance is on; not checked", skipped=True)
            else:
                yield self._look(name, status, running)

    def _look(self, name: str, status: Status, running: Child) -> Seen:
        match name:
            case "health":
                verdict = service.check_health(self.context, status.public_url, given_up=lambda: "")
                return Seen(name, verdict.ok, _tried(verdict))
            case "crashes":
                return self._crashes(running)
            case "errors":
                return self._errors(status, running)
            case _:
                return self._smoke(status, running)

    def _crashes(self, running: Child) -> Seen:
        """Exits that nobody asked for, by the supervisor's telemetry."""
        now = datetime.now(UTC)
        records = telemetry.read(self.context.layout.state_dir)
        found = crashes(records, commit=running.release.commit, now=now)
        times = "1 crash" if len(found) == 1 else f"{len(found)} crashes"
        detail = f"{times} in the last {_span(CRASH_WINDOW.total_seconds())}"
        if found and running.last_exit:
            detail += f", the last: {running.last_exit}"
        if running.state == ChildState.CRASH_LOOP:
            return Seen("crashes", False, f"crash loop: {detail}")
        return Seen("crashes", len(found) < CRASHES, detail)

    def _errors(self, status: Status, running: Child) -> Seen:
        """The share of 5xx: as the service counts it, or of a few requests where it does not."""
        total = _metrics(running.private_url)
        probed, how = total is None, "of all requests"
        if total is None:
            path = self.context.target.health
            failed = sum(not checks.health(status.public_url, path).ok for _ in range(PROBES))
            self.probed += Tally(PROBES, failed)
            total, how = self.probed, f"of own GET {path}, for {METRICS} counts none by status"
        process = f"{running.release.commit} {running.started_at}{' probed' if probed else ''}"
        came, since = self.counted.add(process, datetime.now(UTC), total)
        self.facts["errors"] = {
            "requests": total.requests,
            "failed": total.failed,
            "process": process,
            "probed": probed,
        }
        share = f" ({came.failed / came.requests:.1%})" if came.failed else ""
        return Seen("errors", not came.spike, f"{came.failed} of {came.requests} failed{share} {since}, {how}")

    def _smoke(self, status: Status, running: Child) -> Seen:
        built = releases.read(Path(running.release.dir))
        if built is None:
            return Seen("smoke", False, f"the release directory {running.release.dir} is gone or not whole")
        verdict = service.check_smoke(self.context, built, status.public_url, given_up=lambda: "")
        return Seen("smoke", verdict.ok, _tried(verdict))

    def _remember(self) -> None:
        """Take up the samples that earlier watches left in telemetry."""
        now = datetime.now(UTC)
        for record in telemetry.read(self.context.layout.state_dir):
            at = moment(record.get("at"))
            requests, failed = record.get("requests"), record.get("failed")
            if not (isinstance(requests, int) and isinstance(failed, int) and record.get("event") == "watch"):
                continue
            if "process" in record and at and now - at <= 2 * ERROR_WINDOW:
                total = Tally(requests, failed)
                self.counted.add(str(record["process"]), at, total)
                if record.get("probed"):
                    self.probed = total


def _metrics(url: str) -> Tally | None:
    status, body = checks.get(url, METRICS, limit_bytes=1 << 20)
    return tally(body) if status == 200 and isinstance(body, str) else None


def _tried(verdict: checks.Verdict) -> str:
    return verdict.saw if verdict.tries == 1 or not verdict.ok else f"{verdict.saw}, at try {verdict.tries}"


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
