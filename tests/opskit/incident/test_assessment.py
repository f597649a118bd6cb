"""The rule: when to roll back, hotfix, fix forward or wait, and which deploys are suspect."""

from datetime import timedelta

import pytest

from opskit.incident.assessment import assess, standing
from opskit.incident.record import incidents
from opskit.incident.suspects import deploys, repair
from opskit.incident.telling import next_steps
from tests.opskit.incident.events import BEGAN, Book


def decided(book: Book, minute: float = 200, number: int = 0) -> tuple[str | None, str]:
    found = assess(incidents(book.events)[number], book.events, now=BEGAN + timedelta(minutes=minute))
    return found.decision, found.rule


@pytest.mark.parametrize(
    ("severity", "decision"), [("S0", "hotfix"), ("S1", "hotfix"), ("S2", "next_sprint"), ("S3", "next_sprint")]
)
def test_a_fault_in_the_code_is_a_hotfix_if_it_is_grave(severity: str, decision: str) -> None:
    book = Book()
    book.opened(severity=severity)
    assert decided(book)[0] == decision


def test_the_first_release_cannot_be_rolled_back_so_it_is_a_hotfix() -> None:
    book = Book()
    book.deployed("1.0.0", -30)
    book.opened()
    assert decided(book)[0] == "hotfix"


def test_a_grave_incident_right_after_a_deploy_is_the_deploys_fault_and_is_rolled_back() -> None:
    book = Book()
    book.deployed("1.0.0", -3000)
    book.deployed("1.1.0", -30, previous="1.0.0")
    book.opened()
    decision, rule = decided(book)
    assert (decision, "30 minutes after the deploy of 1.1.0" in rule) == ("rollback", True)


@pytest.mark.parametrize(("cause", "decision"), [("deploy", "rollback"), ("code", "hotfix")])
def test_what_a_person_sees_as_the_cause_decides(cause: str, decision: str) -> None:
    book = Book()
    book.deployed("1.1.0", -30, previous="1.0.0")
    book.did(book.opened(), "assess", 1, severity="S0", cause=cause)
    assert decided(book)[0] == decision


def test_a_deploy_of_yesterday_and_a_cosmetic_fault_are_no_reason_to_roll_back() -> None:
    book = Book()
    book.deployed("1.1.0", -24 * 60, previous="1.0.0")
    book.deployed("1.2.0", -5, previous="1.1.0")
    book.opened(severity="S3")
    book.opened(minute=24 * 60)
    assert decided(book)[0] == "next_sprint"
    assert decided(book, 24 * 60 + 1, number=1)[0] == "hotfix"


def test_after_the_rollback_the_code_is_what_is_left_to_mend() -> None:
    book = Book()
    book.deployed("1.1.0", -30, previous="1.0.0")
    book.opened()
    book.rolled_back("1.0.0", 10, previous="1.1.0")
    assert decided(book)[0] == "hotfix"


def test_a_deployed_fix_that_is_almost_right_is_fixed_forward() -> None:
    book = Book()
    book.opened()
    book.add("hotfix", 30, version="1.0.1", sha="c1.0.1", incident="INC-001")
    assert decided(book)[0] == "hotfix"
    book.deployed("1.0.1", 40, previous="1.0.0")
    assert decided(book)[0] == "fix_forward"
    book.rolled_back("1.0.0", 50, previous="1.0.1")
    assert decided(book)[0] == "hotfix"


def test_what_comes_next_follows_the_hotfix_as_far_as_it_has_come() -> None:
    book = Book()
    first = book.opened()
    book.did(first, "assess", 1, severity="S0", decision="hotfix", rule="in the code")
    said = [following(book)]
    book.add("hotfix_start", 2, incident="INC-001")
    said.append(following(book))
    book.add("hotfix", 3, version="1.0.1", sha="c1.0.1", incident="INC-001")
    said.append(following(book))
    book.deployed("1.0.1", 4, previous="1.0.0")
    said.append(following(book))
    book.rolled_back("1.0.0", 5, previous="1.0.1")
    said.append(following(book))
    book.did(first, "resolve", 6)
    said.append(following(book))
    assert [each.split(" --")[0] for each in said] == [
        "opskit hotfix start NAME",
        "opskit hotfix check, then approve and finish",
        "opskit deploy, which puts the hotfix into service",
        "opskit incident mitigate INC-001, once users are no longer hurt (7 minutes so far)",
        "opskit hotfix start NAME",
        "opskit postmortem INC-001",
    ]


def following(book: Book) -> str:
    """The first of the next steps."""
    one, now = incidents(book.events)[0], BEGAN + timedelta(minutes=7)
    return next(next_steps(one, standing(one, book.events, now=now), repair(book.events, one.name), now=now))


def test_a_crash_loop_that_the_supervisor_rolled_back_was_a_broken_deploy() -> None:
    book = Book()
    book.deployed("1.1.0", -1, previous="1.0.0", result="rolled_back")
    book.did(book.opened(severity=None, target="prod", version="1.1.0"), "assess", 1, severity="S1")
    assert decided(book)[0] == "rollback"


def test_what_is_rolled_back_already_names_no_further_rollback() -> None:
    book = Book()
    book.deployed("1.1.0", -600, previous="1.0.0")
    book.deployed("1.2.0", -1, previous="1.1.0", result="rolled_back")
    crashed = book.opened(severity=None, target="prod", version="1.2.0")
    by_hand = book.opened()
    for first, cause in ((crashed, ""), (by_hand, "deploy")):
        book.did(first, "assess", 1, severity="S1", decision="rollback", rule="broken", cause=cause)
    for one in incidents(book.events):
        found = standing(one, book.events, now=BEGAN)
        assert (found.decision, found.to_leave) == ("rollback", None)
        assert next(next_steps(one, found, repair(book.events, one.name), now=BEGAN)).startswith(
            "opskit incident mitigate"
        )


def test_suspects_are_the_deploys_of_two_days_each_with_its_way_back() -> None:
    book = Book()
    book.deployed("1.0.0", -3 * 24 * 60)
    book.deployed("1.1.0", -24 * 60, previous="1.0.0")
    book.deployed("1.2.0", -60, previous="1.1.0")
    book.deployed("1.3.0", -50, previous="1.2.0", result="failed")
    book.opened()
    found = standing(incidents(book.events)[0], book.events, now=BEGAN).suspects
    assert [(one.version, one.way_back("INC-001")) for one in found] == [
        ("1.2.0", "opskit rollback --target prod --to 1.1.0 --reason INC-001"),
        ("1.1.0", "opskit rollback --target prod --to 1.0.0 --reason INC-001"),
    ]


def test_a_deploy_of_what_runs_already_goes_back_to_the_version_before() -> None:
    book = Book()
    book.deployed("1.1.0", -60, previous="1.0.0")
    book.deployed("1.1.0", -50, previous="1.1.0")
    assert deploys(book.events)[-1].before == "1.0.0"


def test_a_deploy_under_way_or_rolled_back_by_its_bake_is_a_suspect_too() -> None:
    book = Book()
    book.deployed("1.1.0", -60, previous="1.0.0")
    book.deployed("1.1.0", -50, previous="1.0.0", result="rolled_back")
    book.deployed("1.2.0", -40, previous="", result="", phase="intent", operation="now")
    told = [(one.version, one.result, one.left, one.before) for one in deploys(book.events)]
    assert told == [("1.1.0", "rolled_back", True, "1.0.0"), ("1.2.0", "under way", False, "1.0.0")]
