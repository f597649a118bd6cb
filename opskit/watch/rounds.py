"""Rounds of a watch: each result shown, kept in telemetry, and told to people when it changes."""

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from opskit import alerts, telemetry
from opskit.deploy.context import Context, now
from opskit.report import Report
from opskit.watch.look import Eyes
from opskit.watch.standing import CHECKS, News, Seen, as_events, news, told_before

RECORD_EVERY_S = 60.0  # what does not change is recorded so often, that it may not push the rest out of telemetry


class Rounds:
    """Watches one target; `once` is one round, `forever` one after the other."""

    def __init__(self, context: Context, report: Report) -> None:
        self.context, self.report = context, report
        self.eyes = Eyes(context)
        self.told = told_before(telemetry.read(context.layout.state_dir))
        self._recorded: dict[str, tuple[float, bool]] = {}
        self._warned: set[str] = set()

    def once(self, names: tuple[str, ...] = CHECKS) -> bool:
        """Make the checks *names*; True if all is well."""
        seen = []
        for each in self.eyes.round(names):
            seen.append((now(), each))
            self._show(*seen[-1])
        self._tell(news((each for _, each in seen), self.told))
        for at, each in seen:
            self._record(at, each)
        return all(each.ok for _, each in seen)

    def forever(self, *, every_s: float, smoke_every_s: float) -> None:
        """Go on until Ctrl-C, or until nobody reads the output any more. Smoke is made in the first round too."""
        for names in _due(every_s, smoke_every_s):
            self.once(names)
            if self.report.unheard:
                return

    def _show(self, at: str, seen: Seen) -> None:
        verdict = "skipped" if seen.skipped else "ok" if seen.ok else "BAD"
        self.report.say(f"{at}  {seen.check:<8} {verdict:<8} {seen.detail}")
        self.report.line(at=at, check=seen.check, ok=seen.ok, detail=seen.detail)

    def _tell(self, found: News) -> None:
        """Send what is news. What reached nobody is news again in the next round."""
        urls = alerts.addresses(self.context.layout.state_dir, self.context.target.alerts, environ=os.environ)
        target, version = self.context.name, self.eyes.version
        for event in as_events(found, target=target, version=version):
            failed = alerts.send(urls, event)
            for sentence in failed:
                self._warn(sentence)
            if urls and len(failed) == len(urls):
                continue
            self.told |= {each["check"]: event["event"] == "watch.recovered" for each in event["checks"]}
            if urls:
                self.report.say(f"told: {alerts.words(event)[0]}")
            elif event["event"] == "watch.failed":
                self.report.say(_advice(event))

    def _record(self, at: str, seen: Seen) -> None:
        """Into telemetry: every change, and what stays as it was once a minute."""
        recorded_s, ok = self._recorded.get(seen.check, (float("-inf"), seen.ok))
        if ok == seen.ok and time.monotonic() - recorded_s < RECORD_EVERY_S:
            return
        facts = {
            "target": self.context.name,
            "version": self.eyes.version,
            "check": seen.check,
            "ok": seen.ok,
            "detail": seen.detail,
            "told": self.told.get(seen.check, True),
            "seen": at,
            **self.eyes.facts.pop(seen.check, {}),
        }
        try:
            telemetry.record(self.context.layout.state_dir, "watch", **facts)
        except FileNotFoundError:
            self._warn(f"not recorded: {self.context.layout.state_dir} is not there before the first deploy")
        except OSError as fault:
            self._warn(f"not recorded in {self.context.layout.state_dir}: {fault.strerror}")
        else:
            self._recorded[seen.check] = (time.monotonic(), seen.ok)

    def _warn(self, sentence: str) -> None:
        """Once each: a watch runs for weeks."""
        if sentence not in self._warned:
            self._warned.add(sentence)
            self.report.warn(sentence)


def _advice(event: Mapping[str, Any]) -> str:
    return "\n".join(f"  {line}" for line in alerts.words(event)[1].splitlines() if line.startswith("opskit "))


def _due(every_s: float, smoke_every_s: float) -> Iterator[tuple[str, ...]]:
    """The checks of each round, when it is time for it."""
    smoke_at = time.monotonic()
    while True:
        began = time.monotonic()
        with_smoke = began >= smoke_at
        yield CHECKS if with_smoke else CHECKS[:-1]
        if with_smoke:
            smoke_at = began + smoke_every_s
        time.sleep(max(0.0, began + every_s - time.monotonic()))
