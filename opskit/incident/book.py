"""Writing an incident into the ledger, and reading what the team wrote; offline it is kept here, and that is said."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opskit.desk import Desk
from opskit.errors import UsageFault
from opskit.incident.record import KIND, PREFIX, Act, Incident, Severity, State
from opskit.ledger import Event, Ledger, ulid
from opskit.masking import masker
from opskit.moments import told

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


def shared_ledger(desk: Desk) -> Ledger:
    """The ledger, never waiting long for a remote that does not answer."""
    return Ledger(desk.git.within(SHARE_S), desk.remote)


def open_incident(ledger: Ledger, opening: Opening) -> Event:
    """Write a new incident with the next free number; its name is `data["name"]`, with a suffix if taken offline."""
    data = opening.data()
    return ledger.number(KIND, lambda name: (data, f"{name}: {opening.title}"), prefix=PREFIX)


def drafted(kind: str, data: Mapping[str, Any], *, now: datetime) -> Event:
    """The event that would be written, for a dry run."""
    return Event(ulid(now.timestamp()), now.isoformat(timespec="seconds"), kind, data)


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
