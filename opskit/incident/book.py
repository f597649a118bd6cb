"""Writing an incident into the ledger, and reading what the team wrote; offline it is kept here, and that is said."""

import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from opskit.desk import Desk
from opskit.errors import UsageFault
from opskit.incident.record import KIND, PREFIX, Act, Incident, Severity, State
from opskit.ledger import Event, Ledger, next_number, ulid
from opskit.masking import masker
from opskit.moments import told
from opskit.report import Report

SHARE_S = 10.0  # a remote that does not answer for so long is treated as out of reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What begins an incident. Without a severity it is a draft, which a person assesses. `facts` join the record."""

    title: str
    detected: datetime
    severity: Severity | None = None
    impact: str = ""
    facts: Mapping[str, Any] | None = None

    def data(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {
            **(self.facts or {}),
            "act": Act.OPEN,
            "state": State.OPEN if self.severity else State.DRAFT,
            "title": self.title,
            "impact": self.impact,
            "severity": self.severity,
            "times": {"detected": told(self.detected)},
        }


@dataclass(slots=True)
class Reading:
    """The record as it is read for one command. `events` grow by what the command writes."""

    report: Report
    desk: Desk
    ledger: Ledger
    now: datetime
    events: list[Event]

    @classmethod
    def of(cls, desk: Desk) -> Self:
        """With what others wrote; out of reach of the remote with what is here, which is said."""
        ledger = Ledger(desk.git.within(SHARE_S), desk.remote)
        if said := ledger.pull().said:
            print(f"opskit: {said}", file=sys.stderr)
            ledger = replace(ledger, offline=True)  # it is waited for once, not at every step
        return cls(desk.report, desk, ledger, datetime.now(UTC), ledger.read())

    def draft(self, kind: str, data: Mapping[str, Any]) -> Event:
        """The event that would be written, for a dry run."""
        return Event(ulid(self.now.timestamp()), self.now.isoformat(timespec="seconds"), kind, data)

    def next_name(self, kind: str, prefix: str) -> str:
        """The name that the next of *kind* would get, for a dry run."""
        return f"{prefix}-{next_number(self.events, kind):03}"

    def take_in(self, event: Event | None, *, dry_run: bool) -> dict[str, Any]:
        """Share the event that was just written (None: nothing was), read on; what the JSON object tells of that."""
        written, shared = event is not None and not dry_run, None
        if written:
            synced = self.ledger.sync()
            self.events = self.ledger.read()
            if self.ledger.remote:
                shared = synced.shared
                if synced.said:
                    self.report.warn(synced.said)
        elif event:
            self.events.append(event)
        return {"written": written, "event": event.id if event else None, "shared": shared, "dry_run": dry_run}


def open_incident(ledger: Ledger, opening: Opening) -> Event:
    """Write a new incident with the next free number; its name is `data["name"]`, with a suffix if taken offline."""
    data = opening.data()
    return ledger.number(KIND, lambda name: (data, f"{name}: {opening.title}"), prefix=PREFIX)


def act_data(incident: Incident, act: Act, **data: Any) -> dict[str, Any]:
    """What the ledger keeps of something done with *incident*."""
    return {"act": act, "of": incident.event, "name": incident.name, **data}


def one_line(text: str, *, what: str) -> str:
    """*text* fit for the record: one line, without control characters and secrets; `UsageFault` if nothing is left."""
    line = " ".join(clean(text).split())
    if not line:
        raise UsageFault(f"{what} is empty", remedy="say in a few words what users see")
    return line


def clean(text: str) -> str:
    """*text* without secrets and control characters, whatever bytes the shell passed; line breaks stay."""
    decoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    kept = "".join(char for char in decoded if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs"))
    return masker()(kept).strip()
