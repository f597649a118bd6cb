"""Deployments as the ledger tells them: what reached users, what of it failed and until when, and what was rework."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from opskit.git.history import Commit, History
from opskit.incident.record import happened
from opskit.ledger import Event
from opskit.release.commits import parse
from opskit.release.versions import Release

_SERVED = ("done", "superseded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A commit put into service where another ran. `recovered`: when a rollback or a hotfix ended its failure.

    `rework`: it put a hotfix into service. `lead_s`: of each change that it was the first to bring, in seconds.
    """

    at: datetime
    target: str
    version: str
    commit: str
    rework: bool = False
    recovered: datetime | None = None
    lead_s: tuple[float, ...] = ()

    @property
    def failed(self) -> bool:
        """True if it needed a rollback or a hotfix."""
        return self.recovered is not None

    @property
    def recovery_s(self) -> float | None:
        """Seconds from its being in service until its failure was over."""
        return max(0.0, (self.recovered - self.at).total_seconds()) if self.recovered else None


@dataclass(slots=True)
class _Fold:
    """What the events said so far."""

    found: list[Deployment] = field(default_factory=list)
    running: dict[str, str] = field(default_factory=dict)  # target -> commit

    def fail(self, target: str, version: str, at: datetime) -> bool:
        """The newest deployment of *version* there has failed, and that is over; the first end stands."""
        for place in range(len(self.found) - 1, -1, -1):
            one = self.found[place]
            if (one.target, one.version) == (target, version):
                self.found[place] = replace(one, recovered=one.recovered or at)
                return True
        return False

    def commit_of(self, target: str, version: str) -> str:
        """The commit of a version that was deployed there before, "" if that is not known."""
        known = [one.commit for one in self.found if (one.target, one.version) == (target, version)]
        return known[-1] if known else ""


def deployments(events: Iterable[Event], *, tag_prefix: str = "v") -> list[Deployment]:
    """Every deployment that served, oldest first, without lead times (see `with_lead_times`).

    A deploy that was put back before it served is none, nor is one of the commit that ran already (a restart). One has
    failed if it was rolled back, by hand or by its bake, or if a hotfix of its version was put into service after it.
    """
    events = list(events)
    mends = [event.data for event in events if event.kind == "hotfix"]
    fold = _Fold()
    for event in events:
        data = event.data
        if event.kind not in ("deploy", "rollback") or data.get("phase") != "outcome":
            continue
        target, version, commit = (str(data.get(key, "")) for key in ("target", "version", "commit"))
        at, result = happened(event), data.get("result")
        if event.kind == "rollback":
            if result == "done":
                fold.fail(target, str(data.get("previous", "")), at)
                fold.running[target] = commit
        elif result == "rolled_back":
            if not fold.fail(target, version, at):
                fold.found.append(Deployment(at=at, target=target, version=version, commit=commit, recovered=at))
            fold.running[target] = fold.commit_of(target, str(data.get("previous", "")))
        elif result in _SERVED and fold.running.get(target) != commit:
            mend = next((each for each in mends if commit == each.get("sha") or version == each.get("version")), None)
            if mend is not None:
                fold.fail(target, str(mend.get("previous", "")).removeprefix(tag_prefix), at)
            rework = mend is not None
            fold.found.append(Deployment(at=at, target=target, version=version, commit=commit, rework=rework))
            fold.running[target] = commit
    return fold.found


def with_lead_times(found: Sequence[Deployment], history: History, released: Sequence[Release]) -> list[Deployment]:
    """The same deployments, each with the lead times of the changes that it brought to its target first.

    The first known deployment of a target brings what no earlier final release held. A merge and a release's own
    commit are no changes. A commit that the repository has no more has no lead time.
    """
    graph = {commit.sha: commit for commit in history.commits}
    shipped: dict[str, set[str]] = {}
    timed = []
    for one in found:
        if one.target not in shipped:
            shipped[one.target] = _before(one.commit, graph, released)
        fresh = _new(one.commit, graph, shipped[one.target])
        at_s = one.at.timestamp()
        lead_s = tuple(max(0.0, at_s - commit.authored_s) for commit in fresh if _is_change(commit))
        timed.append(replace(one, lead_s=lead_s))
    return timed


def _before(sha: str, graph: Mapping[str, Commit], released: Sequence[Release]) -> set[str]:
    """What earlier final releases that *sha* builds on held."""
    reached: set[str] = set()
    _new(sha, graph, reached)
    held: set[str] = set()
    for release in released:
        if release.final and release.sha in reached and release.sha != sha:
            _new(release.sha, graph, held)
    return held


def _new(sha: str, graph: Mapping[str, Commit], known: set[str]) -> list[Commit]:
    """What *sha* reaches and *known* does not hold; it does afterwards."""
    found, waiting = [], [sha]
    while waiting:
        here = waiting.pop()
        commit = graph.get(here)
        if commit is None or here in known:
            continue
        known.add(here)
        found.append(commit)
        waiting.extend(commit.parents)
    return found


def _is_change(commit: Commit) -> bool:
    if len(commit.parents) > 1:
        return False
    first = parse(commit.subject)[0]
    return (first.type, first.scope) != ("chore", "release")


def as_json(one: Deployment) -> dict[str, Any]:
    """For a page or a script."""
    return {
        "at": one.at.isoformat(),
        "target": one.target,
        "version": one.version,
        "commit": one.commit,
        "failed": one.failed,
        "rework": one.rework,
        "changes": len(one.lead_s),
    }
