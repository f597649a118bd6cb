"""What changed in production before it went wrong: the deploys the ledger knows, and the way back from each."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from opskit.incident.record import happened
from opskit.ledger import Event
from opskit.moments import told

WINDOW = timedelta(hours=48)
_SERVED = ("done", "superseded", "rolled_back", "under way")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """A deploy that users met. `before` is the version in service until then, "" for none; `left`: not any more."""

    event: str
    at: datetime
    target: str
    version: str
    commit: str
    before: str
    result: str  # done | superseded | rolled_back | under way
    left: bool = False
    running: bool = False

    def way_back(self, incident: str) -> str | None:
        """The command that leaves it; None where there is nothing to go back to or nothing to leave."""
        if self.left or not self.before:
            return None
        target, to = shlex.quote(self.target), shlex.quote(self.before)
        return f"opskit rollback --target {target} --to {to} --reason {shlex.quote(incident)}"

    def as_json(self, incident: str) -> dict[str, Any]:
        """As `assess` prints it."""
        return {
            "event": self.event,
            "at": told(self.at),
            "target": self.target,
            "version": self.version,
            "commit": self.commit,
            "previous": self.before or None,
            "result": self.result,
            "left": self.left,
            "rollback": self.way_back(incident),
        }


@dataclass(slots=True)
class _Targets:
    """What runs where, as the events are gone through."""

    running: dict[str, str] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)  # what ran before that, another version

    def put(self, target: str, version: str, told_before: str) -> str:
        """*version* runs on *target* now; returns the other version that did until then."""
        was = self.running.get(target) or told_before
        if was and was != version:
            self.before[target] = was
        self.running[target] = version
        return self.before.get(target, "")


def deploys(events: Iterable[Event]) -> list[Deploy]:
    """Every deploy that users met, oldest first, with what became of it since."""
    events = list(events)
    ended = {event.data.get("operation") for event in events if event.data.get("phase") == "outcome"}
    targets, found = _Targets(), list[Deploy]()
    for event in events:
        if event.kind not in ("deploy", "rollback"):
            continue
        data = {key: str(event.data.get(key, "")) for key in ("target", "version", "commit", "previous", "operation")}
        under_way = event.data.get("phase") == "intent" and data["operation"] not in ended
        result = "under way" if under_way else str(event.data.get("result", ""))
        if result not in _SERVED:
            continue
        if event.kind == "rollback":
            if result == "done":
                targets.put(data["target"], data["version"], data["previous"])
                found = _leave(found, data["target"], data["previous"])
            continue
        if result == "rolled_back":
            known = any(_is(one, data["target"], data["version"]) and not one.left for one in found)
            found = _leave(found, data["target"], data["version"], result)
            targets.put(data["target"], data["previous"], "")
            if known:
                continue
        before = data["previous"] if result == "rolled_back" else ""
        before = before or targets.put(data["target"], data["version"], data["previous"])
        one = Deploy(
            event=event.id,
            at=happened(event),
            target=data["target"],
            version=data["version"],
            commit=data["commit"],
            before=before,
            result=result,
            left=result == "rolled_back",
        )
        found = [*_replaced(found, data["target"]), replace(one, running=not one.left)]
    return found


def suspects(events: Iterable[Event], *, detected: datetime, now: datetime) -> list[Deploy]:
    """The deploys of the last 48 hours before *now*, and of those before it was *detected*; newest first."""
    since = min(detected, now) - WINDOW
    return [one for one in reversed(deploys(events)) if since <= one.at <= now]


def fixes(events: Sequence[Event], incident: str) -> list[Deploy]:
    """The deploys of hotfixes that were started for *incident* and reached production, oldest first."""
    mends = [event.data for event in events if event.kind == "hotfix" and event.data.get("incident") == incident]
    commits, versions = {data.get("sha") for data in mends}, {data.get("version") for data in mends}
    reached = (one for one in deploys(events) if one.result != "under way")
    return [one for one in reached if one.commit in commits or one.version in versions]


class Repair(Enum):
    """How far the hotfix for an incident has come."""

    NONE = "none"
    STARTED = "started"
    RELEASED = "released"
    DEPLOYED = "deployed"


def repair(events: Sequence[Event], incident: str) -> Repair:
    """How far the newest hotfix for *incident* has come; one that was rolled back counts as none."""
    found = Repair.NONE
    for event in events:
        if event.data.get("incident") == incident and event.kind in ("hotfix_start", "hotfix"):
            found = Repair.STARTED if event.kind == "hotfix_start" else Repair.RELEASED
    if found is Repair.RELEASED and (mends := fixes(events, incident)):
        return Repair.NONE if mends[-1].left else Repair.DEPLOYED
    return found


def _is(one: Deploy, target: str, version: str) -> bool:
    return (one.target, one.version) == (target, version)


def _leave(found: list[Deploy], target: str, version: str, result: str = "") -> list[Deploy]:
    """Those of *found* with the deploys of *version* to *target* marked as left."""
    return [
        replace(one, left=True, running=False, result=result or one.result) if _is(one, target, version) else one
        for one in found
    ]


def _replaced(found: list[Deploy], target: str) -> list[Deploy]:
    return [replace(one, running=False) if one.target == target else one for one in found]
