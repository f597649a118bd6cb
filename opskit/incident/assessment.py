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


URGENT = (Severity.S0, Severity.S1)


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
    to_leave: Deploy | None = None  # the one to roll back, where that is the decision and still to be done

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
    severity, impact = incident.severity, incident.impact
    if broken := _broken(incident, severity, found):
        return Assessment(severity, impact, Decision.ROLLBACK, broken.why, found, broken.to_leave)
    decision, rule = _in_code(incident, severity, fixes(events, incident.name))
    if incident.cause == Cause.DEPLOY:
        rule = f"the deploy is at fault, but the record knows no release to go back to; {rule}"
    return Assessment(severity, impact, decision, rule, found)


def standing(incident: Incident, events: Sequence[Event], *, now: datetime) -> Assessment:
    """What was assessed, else what the rule says now; with what changed before, in either case."""
    found = assess(incident, events, now=now)
    recorded = next((one for one in Decision if one == incident.decision), None)
    if recorded is None:
        return found
    to_leave = found.to_leave if recorded is Decision.ROLLBACK else None
    return replace(found, decision=recorded, rule=incident.rule, to_leave=to_leave)


@dataclass(frozen=True, slots=True)
class _Broken:
    """Why a deploy itself is taken for the fault, and the one to leave if it is not left yet."""

    why: str
    to_leave: Deploy | None = None


def _broken(incident: Incident, severity: Severity, found: Sequence[Deploy]) -> _Broken | None:
    """What speaks for a broken deploy: a person, a bake that crashed, or that it was just before; None: nothing."""
    newest = found[0] if found else None
    if incident.cause == Cause.DEPLOY and newest:
        what = f"the deploy of {newest.version} to {newest.target} itself"
        if newest.left:
            return _Broken(f"{what} was broken, and is rolled back")
        return _Broken(f"{what} is broken: go back to {newest.before}", newest) if newest.before else None
    if incident.cause:
        return None
    if incident.crashed:
        return _Broken(f"the deploy itself was broken: {incident.crashed.get('version')} crashed in its bake")
    fresh = _fresh(incident, found) if severity in URGENT else None
    if fresh is None:
        return None
    span = in_words((incident.times.detected - fresh.at).total_seconds())
    what = (
        f"{severity} showed {span} after the deploy of {fresh.version} to {fresh.target}, which is taken to be broken"
    )
    return _Broken(f"{what}: go back to {fresh.before} (assess with --cause code if it is not)", fresh)


def _in_code(incident: Incident, severity: Severity, mends: Sequence[Deploy]) -> tuple[Decision, str]:
    """What to do about a fault in the code, and why."""
    if severity not in URGENT:
        return Decision.NEXT_SPRINT, f"{severity} can wait: users can go on working"
    mend = next((one for one in reversed(mends) if one.running), None)
    if mend and not incident.times.mitigated:
        return Decision.FIX_FORWARD, f"{severity}, and {mend.version}, made to fix it, is deployed: almost right"
    return Decision.HOTFIX, f"{severity} in the code is repaired now, from what production runs"


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
