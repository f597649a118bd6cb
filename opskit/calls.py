"""Which plan each verb's call makes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opskit.desk import Desk
from opskit.errors import Refused
from opskit.ledger import Event
from opskit.release.plan import Kind, Plan
from opskit.release.plan_hotfix import open_hotfix, plan_finish
from opskit.release.plan_release import Planner, plan_candidate, plan_prepare, plan_release
from opskit.release.plan_undo import plan_undo

STARTED = "hotfix_start"
_TAKEN_BACK = (Kind.RELEASE, Kind.HOTFIX, Kind.CANDIDATE, Kind.PREPARE)


def _release(_: Desk, planner: Planner, call: Mapping[str, Any]) -> Plan:
    wanted = str(call["wanted"])
    if call["prepare"]:
        return plan_prepare(planner, wanted=wanted)
    if call["pre"]:
        return plan_candidate(planner, label=str(call["pre"]), wanted=wanted)
    return plan_release(planner, wanted=wanted)


def _undo(desk: Desk, planner: Planner, _: Mapping[str, Any]) -> Plan:
    desk.ledger.pull()
    events = desk.ledger.read()
    undone = {event.data.get("undone") for event in events if event.kind == Kind.UNDO}
    done = [event for event in events if event.kind in _TAKEN_BACK and event.data["operation"] not in undone]
    if not done:
        raise Refused("the ledger knows of no release to take back", remedy="see opskit ledger show")
    last = done[-1]
    plan = Plan.from_json(last.data["plan"])
    if where := _deployed(events, plan):
        raise Refused(f"{plan.title} is deployed to {where}", remedy="opskit rollback, then opskit hotfix start")
    return plan_undo(planner.world, plan, operation=str(last.data["operation"]))


def _deployed(events: Sequence[Event], plan: Plan) -> str:
    """The target that *plan*'s commit was deployed to, "" if to none; a deploy that failed put the old one back."""
    targets: dict[str, str] = {}
    for event in events:
        if event.kind == "deploy" and plan.gate and event.data.get("commit") == plan.gate:
            operation = str(event.data.get("operation", event.id))
            targets[operation] = str(event.data.get("target", "production"))
            if event.data.get("result") in ("failed", "rolled_back"):
                del targets[operation]
    return ", ".join(dict.fromkeys(targets.values()))


def _finish(desk: Desk, planner: Planner, call: Mapping[str, Any]) -> Plan:
    desk.ledger.pull()  # it may have been started in another clone
    branch = open_hotfix(planner.world, current=str(call["current"]))
    started = [event for event in desk.ledger.read() if event.kind == STARTED and event.data["branch"] == branch]
    incident = str(started[-1].data["incident"]) if started else ""
    facts = {"override": call["override"], "incident": incident}
    return plan_finish(planner, branch=branch, wanted=str(call["wanted"]), facts=facts)


Builder = Callable[[Desk, Planner, Mapping[str, Any]], Plan]
BUILDERS: dict[str, Builder] = {"release": _release, "undo": _undo, "hotfix finish": _finish}
