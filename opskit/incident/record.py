"""Incidents as the ledger tells them: folded from its events into values, and which act is allowed in which state.

An incident is opened (or drafted by the machine) by one event with its number; every later event names that one by its
ULID (`of`), so that notes written in two clones at once all count, in whatever order they were joined.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from opskit.errors import Refused, UsageFault
from opskit.incident.names import pick
from opskit.ledger import Event
from opskit.moments import read_moment, shown, told

KIND, PREFIX = "incident", "INC"


class Severity(StrEnum):
    """How bad it is for users."""

    S0 = "S0"
    S1 = "S1"
    S2 = "S2"
    S3 = "S3"

    @property
    def meaning(self) -> str:
        """In words."""
        return _MEANINGS[self]


_MEANINGS = {
    Severity.S0: "critical: users cannot work, or data or security are at stake",
    Severity.S1: "major: much of the service is down or wrong for many users",
    Severity.S2: "minor: something is wrong, and there is a way round it",
    Severity.S3: "cosmetic: it looks wrong and hinders nobody",
}


def grade(text: str) -> Severity:
    """The severity that *text* names; raises `UsageFault` with the choices."""
    found = next((one for one in Severity if one == text.strip().upper()), None)
    if found is None:
        choices = "; ".join(f"{one} {one.meaning}" for one in Severity)
        raise UsageFault(f"--severity: {text!r} is none", remedy=choices)
    return found


class State(StrEnum):
    """Where an incident is on its way; it never goes back."""

    DRAFT = "draft"  # the machine wrote it down; nobody has given it a severity
    OPEN = "open"
    MITIGATED = "mitigated"  # users are no longer hurt; the cause may still be there
    RESOLVED = "resolved"


class Act(StrEnum):
    """What a person does with an incident; `OPEN` begins it."""

    OPEN = "open"
    NOTE = "note"
    ASSESS = "assess"
    MITIGATE = "mitigate"
    RESOLVE = "resolve"


# What may be done in a state. Mitigating twice and resolving twice are no acts: the first stands (`already`).
ALLOWED: Mapping[State, frozenset[Act]] = {
    State.DRAFT: frozenset({Act.NOTE, Act.ASSESS}),
    State.OPEN: frozenset({Act.NOTE, Act.ASSESS, Act.MITIGATE, Act.RESOLVE}),
    State.MITIGATED: frozenset({Act.NOTE, Act.ASSESS, Act.RESOLVE}),
    State.RESOLVED: frozenset({Act.NOTE}),
}
_LEADS_TO = {Act.MITIGATE: State.MITIGATED, Act.RESOLVE: State.RESOLVED}


@dataclass(frozen=True, slots=True)
class Times:
    """When it was noticed, written down by a person, harmless again, over; None = not yet."""

    detected: datetime
    opened: datetime | None = None
    mitigated: datetime | None = None
    resolved: datetime | None = None

    def as_json(self) -> dict[str, str | None]:
        """RFC 3339 in UTC."""
        every = {"detected": self.detected, "opened": self.opened}
        every |= {"mitigated": self.mitigated, "resolved": self.resolved}
        return {name: told(moment) for name, moment in every.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident as it stands. `event` is the ULID of what began it; `acts` are all its events, in ledger order."""

    name: str  # INC-001
    event: str
    title: str
    impact: str
    times: Times
    severity: Severity | None = None
    decision: str = ""  # as it was last assessed, "" = not yet
    rule: str = ""
    cause: str = ""  # where a person saw the fault, "" = nobody said
    crashed: Mapping[str, str] = field(default_factory=dict)  # target and version that a bake rolled back
    acts: tuple[Event, ...] = ()

    @property
    def state(self) -> State:
        """Told by its times."""
        if self.times.resolved:
            return State.RESOLVED
        if self.times.mitigated:
            return State.MITIGATED
        return State.OPEN if self.times.opened else State.DRAFT

    @property
    def is_open(self) -> bool:
        """True until it is resolved; a draft is open."""
        return self.state is not State.RESOLVED

    def recovered_s(self) -> float | None:
        """Seconds from detection until users were no longer hurt; None while they are."""
        end = self.times.mitigated or self.times.resolved
        return (end - self.times.detected).total_seconds() if end else None

    def as_json(self) -> dict[str, Any]:
        """What every list of incidents tells of it. `name` says what `id` says, as the ledger's events do."""
        return {
            "id": self.name,
            "name": self.name,
            "title": self.title,
            "severity": self.severity,
            "state": self.state,
            "impact": self.impact,
            "times": self.times.as_json(),
        }


def incidents(events: Iterable[Event]) -> list[Incident]:
    """Every incident of the ledger, oldest first."""
    found: dict[str, Incident] = {}
    for event in events:
        if event.kind != KIND:
            continue
        act, of = str(event.data.get("act", Act.OPEN)), str(event.data.get("of", ""))
        if act == Act.OPEN:
            found[event.id] = _opened(event)
        elif of in found:
            found[of] = _after(found[of], act, event)
    return list(found.values())


def happened(event: Event) -> datetime:
    """When what the event tells of happened: what it says of that, else when it was written."""
    return read_moment(event.data.get("at")) or read_moment(event.at) or datetime.fromtimestamp(0, UTC)


def _opened(event: Event) -> Incident:
    data = event.data
    times = data.get("times")
    detected = read_moment(times.get("detected")) if isinstance(times, Mapping) else None
    draft = data.get("state") == State.DRAFT
    written = happened(event)
    crashed = {key: str(data[key]) for key in ("target", "version") if data.get(key)} if draft else {}
    return Incident(
        name=str(data.get("name") or event.id),
        event=event.id,
        title=str(data.get("title", "")),
        impact=str(data.get("impact", "")),
        times=Times(detected or written, None if draft else written),
        severity=_severity(data.get("severity")),
        crashed=crashed,
        acts=(event,),
    )


def _after(incident: Incident, act: str, event: Event) -> Incident:
    """The incident with one more event; of two that mitigate or resolve it the first in the ledger stands."""
    incident, data, at = replace(incident, acts=(*incident.acts, event)), event.data, happened(event)
    times = incident.times
    if act == Act.ASSESS:
        return replace(
            incident,
            times=replace(times, opened=times.opened or at),
            severity=_severity(data.get("severity")) or incident.severity,
            impact=str(data.get("impact", incident.impact)),
            decision=str(data.get("decision", "")),
            rule=str(data.get("rule", "")),
            cause=str(data.get("cause", "")),
        )
    if act == Act.MITIGATE:
        return replace(incident, times=replace(times, mitigated=times.mitigated or at))
    if act == Act.RESOLVE:
        return replace(incident, times=replace(times, resolved=times.resolved or at))
    return incident


def _severity(value: object) -> Severity | None:
    return next((one for one in Severity if one == value), None)


def check(incident: Incident, act: Act) -> None:
    """Raise `Refused` with the reason if *act* is not allowed in the incident's state."""
    if act in ALLOWED[incident.state]:
        return
    name = incident.name
    if incident.state is State.DRAFT:
        raise Refused(
            f"{name} is a draft that nobody has given a severity yet: it cannot be {_LEADS_TO[act]}",
            remedy=f"opskit incident assess {name} --severity S0 (or S1, S2, S3)",
        )
    over = incident.times.resolved or incident.times.detected
    what = {Act.MITIGATE: "nothing is left to mitigate", Act.ASSESS: "its assessment stands"}.get(act, "it is over")
    raise Refused(
        f"{name} was resolved at {shown(over)}: {what}",
        remedy=f'opskit incident note {name} "…" adds to its record; what is wrong again is a new incident',
    )


def already(incident: Incident, act: Act) -> datetime | None:
    """When *act* was done, if the incident is in the very state it leads to; None if it is still to be done."""
    if _LEADS_TO.get(act) is not incident.state:
        return None
    return incident.times.mitigated if act is Act.MITIGATE else incident.times.resolved


def check_time(incident: Incident, act: Act, at: datetime, *, option: str) -> None:
    """Raise `UsageFault` if *act* cannot have been at *at*: before what must come before it."""
    for what, earlier in (("detected", incident.times.detected), ("mitigated", incident.times.mitigated)):
        if act in _LEADS_TO and earlier and at < earlier:
            before = f"it was {what} at {shown(earlier)}"
            raise UsageFault(
                f"{option}: {incident.name} cannot be {_LEADS_TO[act]} at {shown(at)}, {before}",
                remedy="give a later time",
            )


def choose(every: Sequence[Incident], wanted: str) -> Incident:
    """The incident that a person means by *wanted*; raises `UsageFault` that lists the open ones."""
    return pick(every, wanted, prefix=PREFIX, what="incident", listed_by="opskit incident list")
