"""An incident in words, for people who read it at night."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from opskit.incident.assessment import DOES, Assessment, Decision
from opskit.incident.record import Incident, State
from opskit.incident.suspects import Deploy, Repair
from opskit.incident.timeline import Row
from opskit.moments import in_words, shown

_LABEL = 11


def headline(incident: Incident) -> str:
    """One line: `INC-001 S0 open: title`."""
    return f"{incident.name} {incident.severity or 'no severity yet,'} {incident.state}: {incident.title}"


def assessment_lines(incident: Incident, found: Assessment) -> Iterator[str]:
    """Severity, Impact, Decision, the rule behind it, and what changed before."""
    if found.severity is None:
        yield _labelled("Severity", f"none yet: opskit incident assess {incident.name} --severity S0 (or S1, S2, S3)")
    else:
        yield _labelled("Severity", f"{found.severity} {found.severity.meaning}")
    yield _labelled("Impact", found.impact or "not said yet (--impact TEXT)")
    if found.decision:
        yield _labelled("Decision", f"{found.decision}: {DOES[found.decision]}")
        yield _labelled("Rule", found.rule)
    yield "Suspect changes (deploys of the last 48 hours, newest first)"
    yield from (_suspect(one, incident.name) for one in found.suspects)
    if not found.suspects:
        yield "  none in the ledger"


def _suspect(one: Deploy, incident: str) -> str:
    way = "left already" if one.left else one.way_back(incident) or "no release before it to go back to"
    return f"  {shown(one.at)}  {one.version} to {one.target} ({one.result})\n      {way}"


def time_lines(incident: Incident) -> Iterator[str]:
    """Its times, each with how long after detection."""
    times, start = incident.times, incident.times.detected
    for label, moment in (("Opened", times.opened), ("Mitigated", times.mitigated), ("Resolved", times.resolved)):
        if label == "Opened":
            yield _labelled("Detected", shown(start))
        if moment is None:
            yield _labelled(label, "not yet")
        else:
            yield _labelled(label, f"{shown(moment)}, {in_words((moment - start).total_seconds())} after detection")


def timeline_lines(rows: Sequence[Row]) -> Iterator[str]:
    """The timeline, each row with the id of its event."""
    yield "Timeline"
    for row in rows:
        text = row.text.replace("\n", "\n" + " " * 27)
        yield f"  {shown(row.at)}  {text}  ({', '.join(filter(None, (row.actor, row.id)))})"


_REPAIR = {
    Repair.NONE: "opskit hotfix start NAME --incident {}",
    Repair.STARTED: "opskit hotfix check, then approve and finish",
    Repair.RELEASED: "opskit deploy, which puts the hotfix into service",
    Repair.DEPLOYED: "",
}


def next_steps(incident: Incident, found: Assessment, done: Repair, *, now: datetime) -> Iterator[str]:
    """What to do now, as commands; *done* is how far its hotfix has come."""
    name = incident.name
    if incident.state is State.RESOLVED:
        yield f"opskit postmortem {name} --write"
        return
    if incident.state is State.DRAFT:
        yield f"opskit incident assess {name} --severity S0 (or S1, S2, S3)"
        return
    if not incident.decision:
        yield f"opskit incident assess {name}"
        return
    if found.decision is Decision.ROLLBACK:
        if found.to_leave and not incident.times.mitigated:
            yield str(found.to_leave.way_back(name))
    elif found.decision is Decision.FIX_FORWARD and done is Repair.DEPLOYED:
        yield _REPAIR[Repair.NONE].format(name)
    elif found.decision in (Decision.HOTFIX, Decision.FIX_FORWARD):
        if step := _REPAIR[done]:
            yield step.format(name)
    elif found.decision is Decision.NEXT_SPRINT:
        yield f'opskit actions add "…" --incident {name}'
    age = in_words((now - incident.times.detected).total_seconds())
    if not incident.times.mitigated:
        yield f"opskit incident mitigate {name}, once users are no longer hurt ({age} so far)"
    yield f"opskit incident resolve {name}, once it is over"


def _labelled(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"
