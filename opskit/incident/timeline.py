"""An incident hour by hour: what people did and noted, between the deploys, rollbacks, releases and approvals."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opskit.incident.record import Act, Incident, State, happened
from opskit.ledger import Event
from opskit.moments import told

_MEANWHILE = (
    *("deploy", "rollback", "release", "candidate", "prepare", "undo"),
    *("hotfix_start", "hotfix_check", "approval", "hotfix"),
)
# What an event says beyond its subject, and how that is told.
_ADDED = {"reason": "", "detail": "", "why": "", "override": "override: ", "break_glass": "break glass: "}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the timeline; `id` is the ULID of the ledger's event that says so."""

    at: datetime
    id: str
    kind: str
    text: str
    actor: str

    def as_json(self) -> dict[str, Any]:
        """As the verbs print it."""
        return {"at": told(self.at), "id": self.id, "kind": self.kind, "text": self.text, "actor": self.actor}


def timeline(incident: Incident, events: Iterable[Event]) -> list[Row]:
    """Every row, by time: the incident's own events, hotfixes linked to it, and what happened while it lasted."""
    start, end = incident.times.detected, incident.times.resolved
    began = incident.acts[0]
    rows = [Row(start, began.id, "detected", "detected", began.actor)]
    rows += [Row(happened(act), act.id, "incident", _own(act), act.actor) for act in incident.acts]
    events = list(events)
    ended = {event.data.get("operation") for event in events if event.data.get("phase") == "outcome"}
    for event in events:
        if event.kind not in _MEANWHILE or (
            event.data.get("phase") == "intent" and event.data.get("operation") in ended
        ):
            continue
        at = happened(event)
        linked = event.data.get("incident") == incident.name
        if linked or (start <= at and (end is None or at <= end)):
            rows.append(Row(at, event.id, event.kind, _said(event), event.actor))
    place = {
        event.id: at for at, event in enumerate(events)
    }  # the order within one second, which is as fine as it gets
    return sorted(rows, key=lambda row: (row.at.replace(microsecond=0), place.get(row.id, 0)))


def _own(event: Event) -> str:
    data = event.data
    act, severity = str(data.get("act", Act.OPEN)), data.get("severity")
    if act == Act.OPEN:
        began = "drafted" if data.get("state") == State.DRAFT else f"opened as {severity}"
        return f"{began}: {data.get('title', '')}"
    if act == Act.ASSESS:
        return f"assessed as {severity}, {data.get('decision', '')}: {data.get('rule', '')}"
    text, ended = str(data.get("text") or ""), {Act.MITIGATE: "mitigated", Act.RESOLVE: "resolved"}
    return ": ".join(filter(None, (next((word for each, word in ended.items() if each == act), ""), text))) or act


def _said(event: Event) -> str:
    added = {str(event.data[key]): how for key, how in _ADDED.items() if event.data.get(key)}
    return "; ".join([event.subject, *(how + text for text, how in added.items() if text not in event.subject)])
