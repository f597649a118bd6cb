"""Stories, points, releases and security findings of a period."""

from datetime import UTC, datetime, timedelta
from typing import Any

from semver import Version

from opskit.dora.summary import Summary, summarise
from opskit.git.history import Commit
from opskit.ledger import Event
from opskit.release.versions import Release

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
WEEK = timedelta(weeks=1)


def days_ago(days: float) -> int:
    return int((NOW - timedelta(days=days)).timestamp())


def commit(message: str, *, days: float = 1) -> Commit:
    return Commit(f"{abs(hash(message)):040x}"[:40], (), days_ago(days), days_ago(days), message)


def released(version: str, *, days: float = 1) -> Release:
    return Release(Version.parse(version), f"v{version}", f"t{version}", days_ago(days))


def summary(by_release: dict[Release | None, list[Commit]], *events: Event, since: datetime = NOW - WEEK) -> Summary:
    return summarise(by_release, events, hotfixes=["v1.0.1"], since=since, now=NOW)


def stories(found: Summary) -> dict[str, tuple[float | None, str | None]]:
    return {row["id"]: (row["points"], row["release"]) for row in found.stories}


def test_a_story_has_the_points_of_its_trailers_once() -> None:
    first = commit("feat: a\n\nRefs: US-002\nPoints: 3")
    again = commit("feat: more of a\n\nRefs: US-002\nPoints: 5")
    plain = commit("fix: b\n\nRefs: US-010")
    found = summary({released("1.0.0"): [again, first], None: [plain]})
    assert stories(found) == {"US-002": (5, "1.0.0"), "US-010": (None, None)}
    assert (found.points, found.points_released) == (5, 5)


def test_a_story_is_done_in_the_newest_release_that_holds_a_part_of_it() -> None:
    parts: dict[Release | None, list[Commit]] = {
        released("1.1.0", days=1): [commit("feat: rest\n\nRefs: US-002")],
        released("1.0.0", days=2): [commit("feat: begun\n\nRefs: US-002\nPoints: 3")],
    }
    assert stories(summary(parts)) == {"US-002": (3, "1.1.0")}


def test_stories_done_together_count_their_points_once() -> None:
    found = summary({None: [commit("feat: a\n\nRefs: US-001, US-002\nPoints: 8")]})
    assert (len(found.stories), found.points, found.points_released) == (2, 8, 0)
    assert found.stories[0]["together"] == ["US-002"]


def test_points_without_a_story_add_up() -> None:
    found = summary({None: [commit("feat: a\n\nPoints: 1"), commit("feat: b\n\nPoints: 0.5")]})
    assert (found.stories, found.points) == ([], 1.5)


def test_a_release_belongs_to_the_period_it_was_made_in_with_all_its_commits() -> None:
    old = commit("feat: a\n\nRefs: US-001\nPoints: 3", days=60)
    found = summary({released("1.0.0", days=30): [commit("feat: x\n\nRefs: US-009")], released("1.0.1"): [old]})
    assert [(row["version"], row["hotfix"]) for row in found.releases] == [("1.0.1", True)]
    assert list(stories(found)) == ["US-001"]


def test_a_candidate_is_no_release() -> None:
    found = summary({released("1.0.0-rc.1"): [commit("feat: a\n\nRefs: US-001\nPoints: 3")]})
    assert (found.releases, stories(found), found.points_released) == ([], {"US-001": (3, None)}, 0)


def review(days: float, *found: str, checked: tuple[str, ...] = ("ws-no-token", "ws-origin"), **of: str) -> Event:
    rows = [{"id": name, "severity": "S3" if name == "registration-open" else "S0"} for name in found]
    data: dict[str, Any] = {"target": "live", "findings": rows, "checked": list(checked), **of}
    return Event(f"R{days}", (NOW - timedelta(days=days)).isoformat(), "security_review", data)


def security(*events: Event) -> tuple[int, int, int]:
    told = summary({}, *events).security
    return told["found"], told["fixed"], told["open"]


def test_a_finding_is_fixed_when_a_later_review_looked_and_did_not_find_it() -> None:
    assert security(review(3, "ws-no-token", "registration-open")) == (1, 0, 1)
    assert security(review(3, "ws-no-token"), review(2, "ws-no-token"), review(1)) == (1, 1, 0)


def test_what_was_not_looked_at_is_not_fixed_nor_is_it_by_a_review_of_another_service() -> None:
    assert security(review(3, "ws-no-token"), review(1, checked=("ws-origin",))) == (1, 0, 1)
    assert security(review(3, "ws-no-token"), review(1, target="staging")) == (1, 0, 1)


def test_found_before_the_period_and_fixed_in_it_counts_as_fixed_only() -> None:
    assert security(review(30, "ws-no-token"), review(1)) == (0, 1, 0)


def test_one_that_comes_back_is_found_again() -> None:
    assert security(review(4, "ws-no-token"), review(3), review(2, "ws-no-token")) == (2, 1, 1)


def test_commits_that_mend_security_are_named() -> None:
    found = summary({released("1.1.0"): [commit("fix(security): tokens on the handshake"), commit("fix: other")]})
    assert [(fix["text"], fix["release"]) for fix in found.security["fixes"]] == [("tokens on the handshake", "1.1.0")]
