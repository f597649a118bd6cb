"""What to do about an incident, by one rule that is printed with it: roll back, hotfix, fix forward, or next sprint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from opskit.incident.record import Incident, Severity
from opskit.incident.suspects import Deploy, fixes, suspects
from opskit.ledger import Event
from opskit.moments import in_words

FRESH = timedelta(hours=1)  # an S0 or S1 that shows so soon after a deploy is blamed on the deploy first


class Decision(StrEnum):
    """What is to be done."""

    HOTFIX = "hotfix"
    ROLLBACK = "rollback"
    FIX_FORWARD = "fix_forward"
    NEXT_SPRINT = "next_sprint"


DOES = {
    Decision.HOTFIX: "repair what production runs now; it does not wait for the sprint",
    Decision.ROLLBACK: "go back to the release before now, look for the cause afterwards",
    Decision.FIX_FORWARD: "mend the fix that is deployed and deploy again",
    Decision.NEXT_SPRINT: "plan it like other work",
}


class Cause(StrEnum):
    """Where a person sees the fault."""

    DEPLOY = "deploy"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Assessment:
    """What to do, why, and what changed before."""

    severity: Severity | None
    impact: str
    decision: Decision | None
    rule: str
    suspects: tuple[Deploy, ...]

    def as_json(self, incident: str) -> dict[str, Any]:
        """As the verbs print it."""
        return {
            "decision": self.decision,
            "rule": self.rule or None,
            "suspects": [one.as_json(incident) for one in self.suspects],
        }


def assess(incident: Incident, events: Sequence[Event], *, now: datetime) -> Assessment:
    """Apply the rule to *incident* as it stands; without a severity it decides nothing.

    Its `cause` is what a person knows; without it the record tells: a bake that crashed, or an S0 or S1 within an hour
    of a deploy that can be left, is the deploy's fault.
    """
    found = tuple(suspects(events, detected=incident.times.detected, now=now))
    if incident.severity is None:
        return Assessment(None, incident.impact, None, "", found)
    decision, rule = _decide(incident, incident.severity, found, fixes(events, incident.name))
    return Assessment(incident.severity, incident.impact, decision, rule, found)


def standing(incident: Incident, events: Sequence[Event], *, now: datetime) -> Assessment:
    """What was assessed, else what the rule says now; with what changed before, in either case."""
    found = assess(incident, events, now=now)
    recorded = next((one for one in Decision if one == incident.decision), None)
    return replace(found, decision=recorded, rule=incident.rule) if recorded else found


def _decide(
    incident: Incident, severity: Severity, found: Sequence[Deploy], mends: Sequence[Deploy]
) -> tuple[Decision, str]:
    cause = incident.cause
    urgent = severity in (Severity.S0, Severity.S1)
    stuck = ""
    if cause == Cause.DEPLOY:
        back = next((one for one in found if one.way_back(incident.name)), None)
        if back:
            return Decision.ROLLBACK, f"the deploy of {back.version} itself is broken: {back.before} can be put back"
        stuck = "the deploy is at fault, but the record knows no release to go back to; "
    elif not cause and incident.crashed:
        return Decision.ROLLBACK, f"the deploy itself was broken: {incident.crashed.get('version')} crashed in its bake"
    elif not cause and urgent and (fresh := _fresh(incident, found)):
        span = in_words((incident.times.detected - fresh.at).total_seconds())
        return Decision.ROLLBACK, (
            f"{severity} showed {span} after the deploy of {fresh.version} and {fresh.before} can be put back: "
            "the deploy is taken to be broken (assess with --cause code if it is not)"
        )
    if not urgent:
        return Decision.NEXT_SPRINT, f"{stuck}{severity} can wait: users can go on working"
    mend = next((one for one in reversed(mends) if one.running), None)
    if mend and not incident.times.mitigated:
        return Decision.FIX_FORWARD, f"{stuck}{severity}, and {mend.version}, made to fix it, is deployed: almost right"
    return Decision.HOTFIX, f"{stuck}{severity} in the code is repaired now, from what production runs"


def _fresh(incident: Incident, found: Sequence[Deploy]) -> Deploy | None:
    """The deploy still in service that went out shortly before the incident showed, if it can be left."""
    detected = incident.times.detected
    return next(
        (
            one
            for one in found
            if one.running and one.way_back(incident.name) and timedelta() <= detected - one.at <= FRESH
        ),
        None,
    )
