"""What the ledger's events come to as deployments: what failed, until when, what was rework, what each brought."""

from datetime import UTC, datetime, timedelta
from typing import Any

from semver import Version

from opskit.dora.deployments import Deployment, deployments, with_lead_times
from opskit.git.history import Commit, History
from opskit.ledger import Event
from opskit.release.versions import Release

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    return START + hours * HOUR


def event(kind: str, hours: float, **data: Any) -> Event:
    return Event(f"E{kind}{hours}", at(hours).isoformat(), kind, {"target": "live", "phase": "outcome", **data})


def put(version: str, hours: float, *, result: str = "done", **more: Any) -> Event:
    return event("deploy", hours, **{"version": version, "commit": f"c{version}", "result": result, **more})


def back(version: str, hours: float, *, left: str) -> Event:
    return event("rollback", hours, version=version, commit=f"c{version}", previous=left, result="done")


def mend(version: str, of: str, hours: float) -> Event:
    return event("hotfix", hours, version=version, sha=f"c{version}", previous=f"v{of}", tag=f"v{version}")


def told(*events: Event) -> list[tuple[str, float | None, bool]]:
    return [(one.version, one.recovery_s, one.rework) for one in deployments(events)]


def test_an_intent_and_a_deploy_put_back_are_no_deployments() -> None:
    assert told(put("1", 0, phase="intent", result=""), put("1", 1, result="failed")) == []


def test_a_rollback_ends_the_failure_of_what_it_left() -> None:
    events = put("1", 0), put("2", 1), back("1", 3, left="2")
    assert told(*events) == [("1", None, False), ("2", 7200.0, False)]


def test_a_bake_that_failed_ends_where_the_supervisor_gave_production_back() -> None:
    undone = put("2", 9, result="rolled_back", at=at(1.25).isoformat(), previous="1")
    assert told(put("1", 0), put("2", 1), undone) == [("1", None, False), ("2", 900.0, False)]


def test_a_hotfix_is_rework_and_ends_the_failure_of_the_release_it_mends() -> None:
    events = put("1.0.0", 0), mend("1.0.1", "1.0.0", 3), put("1.0.1", 3.5)
    assert told(*events) == [("1.0.0", 3.5 * 3600, False), ("1.0.1", None, True)]


def test_of_a_rollback_and_a_later_hotfix_the_first_was_the_recovery() -> None:
    events = put("1", 0), put("2", 1), back("1", 2, left="2"), mend("2.1", "2", 5), put("2.1", 6)
    assert told(*events) == [("1", None, False), ("2", 3600.0, False), ("2.1", None, True)]


def test_deploying_what_runs_already_is_a_restart_and_after_a_rollback_a_deployment() -> None:
    events = put("1", 0), put("1", 1), put("2", 2), back("1", 3, left="2"), put("1", 4), put("2", 5)
    assert [one.version for one in deployments(events)] == ["1", "2", "2"]


def test_each_target_has_its_own_deployments() -> None:
    events = put("1", 0), put("1", 1, target="staging"), back("0", 2, left="1")
    assert [(one.target, one.failed) for one in deployments(events)] == [("live", True), ("staging", False)]


def commit(sha: str, *parents: str, hours: float, message: str = "feat: x") -> Commit:
    seconds = int(at(hours).timestamp())
    return Commit(sha, parents, seconds, seconds, message)


HISTORY = History(
    [
        commit("c2", "c1", hours=20, message="fix: z"),
        commit("m", "c1", "side", hours=9, message="Merge branch 'side'"),
        commit("c1", "r0", hours=8),
        commit("side", "r0", hours=7),
        commit("r0", "old", hours=1, message="chore(release): v0.1.0"),
        commit("old", hours=0),
    ],
    {},
    {},
    {},
)
V0 = Release(Version(0, 1, 0), "v0.1.0", "r0", 0)


def deployed(sha: str, hours: float, *, target: str = "live") -> Deployment:
    return Deployment(at=at(hours), target=target, version=sha, commit=sha)


def leads_h(*found: Deployment, released: tuple[Release, ...] = ()) -> list[list[float]]:
    timed = with_lead_times(found, HISTORY, released)
    return [sorted(lead_s / 3600 for lead_s in one.lead_s) for one in timed]


def test_a_change_counts_once_from_its_commit_to_its_first_deployment_there() -> None:
    assert leads_h(deployed("m", 10), deployed("c2", 30), released=(V0,)) == [[2, 3], [10]]
    assert leads_h(deployed("m", 10), deployed("m", 11, target="staging"), released=(V0,)) == [[2, 3], [3, 4]]


def test_without_an_earlier_release_the_first_deployment_brings_everything_but_merges_and_release_commits() -> None:
    assert leads_h(deployed("m", 10)) == [[2, 3, 10]]


def test_a_release_deployed_as_such_still_brings_its_changes() -> None:
    v1 = Release(Version(1, 0, 0), "v1.0.0", "m", 0)
    assert leads_h(deployed("m", 10), released=(V0, v1)) == [[2, 3]]


def test_a_commit_that_is_gone_or_from_the_future_has_no_negative_lead() -> None:
    assert leads_h(deployed("gone", 10), deployed("c1", 0), released=(V0,)) == [[], [0, 0]]
