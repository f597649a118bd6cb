"""Action items: what is to be done so that it does not happen again, by whom, until when, and what proves it done."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from opskit.errors import UsageFault
from opskit.incident.names import pick
from opskit.incident.record import happened
from opskit.ledger import Event
from opskit.moments import told

KIND, PREFIX = "action", "ACT"
EDITED, EDITABLE = "edited", ("title", "owner", "due", "type", "verify", "incident")


class Type(StrEnum):
    """What an action item is good for."""

    PREVENT = "prevent"  # it cannot happen again
    DETECT = "detect"  # it is noticed sooner
    MITIGATE = "mitigate"  # it hurts less, or for a shorter time
    PROCESS = "process"  # people work together differently


class State(StrEnum):
    """Where an action item is."""

    OPEN = "open"
    DONE = "done"  # somebody says so
    VERIFIED = "verified"  # its command says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action item as it stands. `incident` is the name of the one it was learnt from, "" for none."""

    name: str  # ACT-001
    event: str
    title: str
    owner: str
    due: str  # YYYY-MM-DD
    type: str
    state: State = State.OPEN
    verify: str = ""  # a shell command that succeeds once it is done
    author: str = ""  # who wrote the command
    incident: str = ""
    of: str = ""  # the release that passed something over
    done: datetime | None = None
    verified: datetime | None = None

    @property
    def is_open(self) -> bool:
        """True until somebody says that it is done."""
        return self.state is State.OPEN

    def overdue(self, today: date) -> bool:
        """True if it is still open after its day."""
        return self.is_open and bool(self.due) and self.due < today.isoformat()

    def as_json(self, today: date) -> dict[str, Any]:
        """As the verbs print it. `name` says what `id` says, as the ledger's events do."""
        return {
            "id": self.name,
            "name": self.name,
            "title": self.title,
            "owner": self.owner,
            "due": self.due or None,
            "overdue": self.overdue(today),
            "type": self.type,
            "state": self.state,
            "verify": self.verify or None,
            "incident": self.incident or None,
            "of": self.of or None,
            "done": told(self.done),
            "verified": told(self.verified),
        }


def actions(events: Iterable[Event]) -> list[Action]:
    """Every action item of the ledger, oldest first."""
    found: dict[str, Action] = {}
    for event in events:
        if event.kind != KIND:
            continue
        of = str(event.data.get("act_of", ""))
        if not of:
            found[event.id] = _added(event)
        elif of in found:
            found[of] = _after(found[of], str(event.data.get("act", "")), event)
    return list(found.values())


def _added(event: Event) -> Action:
    data = {key: str(value) for key, value in event.data.items() if value is not None}
    return Action(
        name=data.get("name") or event.id,
        event=event.id,
        title=data.get("title", ""),
        owner=data.get("owner", ""),
        due=data.get("due", ""),
        type=data.get("type", Type.PROCESS),
        state=next((one for one in State if one == data.get("state")), State.OPEN),
        verify=data.get("verify", ""),
        author=event.actor,
        incident=data.get("incident", ""),
        of=data.get("of", ""),
    )


def _after(action: Action, act: str, event: Event) -> Action:
    if act == State.DONE:
        state = State.VERIFIED if action.verified else State.DONE
        return replace(action, state=state, done=action.done or happened(event))
    if act == EDITED:
        author = event.actor if "verify" in event.data else action.author
        changed: dict[str, Any] = {key: str(event.data[key]) for key in EDITABLE if key in event.data}
        return replace(action, author=author, **changed)
    if act == State.VERIFIED:
        at = happened(event)
        return replace(action, state=State.VERIFIED, done=action.done or at, verified=at)
    return action


def choose(every: Sequence[Action], wanted: str) -> Action:
    """The action item that a person means by *wanted*; raises `UsageFault` that lists the open ones."""
    return pick(every, wanted, prefix=PREFIX, what="action item", listed_by="opskit actions list")


def read_due(text: str, *, today: date) -> str:
    """A day as YYYY-MM-DD: that, or a span from *today* (`14 days`, `2w`); raises `UsageFault`."""
    span = re.fullmatch(r"(?:in\s+)?([0-9]{1,4})\s*(d|days?|w|weeks?)", text.strip().lower())
    try:
        if span:
            return (today + timedelta(days=int(span[1]) * (7 if span[2].startswith("w") else 1))).isoformat()
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError as fault:
        raise UsageFault(f"--due: {text!r} is no day", remedy="write it as 2026-12-01, or as 14 days") from fault


def read_type(text: str) -> Type:
    """The type that *text* names; raises `UsageFault` with the choices."""
    found = next((one for one in Type if one == text.strip().lower()), None)
    if found is None:
        raise UsageFault(f"--type: {text!r} is none", remedy=f"choose from {', '.join(Type)}")
    return found
