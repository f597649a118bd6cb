"""Action items: what is to be done, and the command that proves it."""

from datetime import date

import pytest

from opskit.errors import UsageFault
from opskit.incident.actions import State, actions, choose, read_due, read_type
from opskit.ledger import Event
from tests.opskit.incident.events import Book
from tests.opskit.repos import Repos

TODAY = date(2026, 11, 23)


def added(book: Book, **data: str) -> Event:
    count = 1 + sum("number" in event.data for event in book.events)
    facts = {"title": "tests", "owner": "Ada", "due": "2026-12-01", "type": "prevent", "state": "open", **data}
    return book.add("action", 0, number=count, name=f"ACT-{count:03}", **facts)


def test_an_action_item_is_open_until_done_or_verified_and_overdue_only_while_open() -> None:
    book = Book()
    first = added(book, due="2026-11-22")
    seen = [(actions(book.events)[0].state, actions(book.events)[0].overdue(TODAY))]
    for act in ("done", "verified", "done"):
        book.add("action", 1, act=act, act_of=first.id)
        seen.append((actions(book.events)[0].state, actions(book.events)[0].overdue(TODAY)))
    assert seen == [(State.OPEN, True), (State.DONE, False), (State.VERIFIED, False), (State.VERIFIED, False)]


def test_it_is_due_to_the_end_of_its_day() -> None:
    book = Book()
    added(book, due=TODAY.isoformat())
    assert not actions(book.events)[0].overdue(TODAY)


def test_an_edit_changes_what_it_names_and_who_wrote_the_command() -> None:
    book = Book()
    first = added(book)
    book.add("action", 1, act="edited", act_of=first.id, owner="Bo", state="verified")
    [found] = actions(book.events)
    assert (found.owner, found.due, found.state) == ("Bo", "2026-12-01", State.OPEN)


def test_an_unknown_action_item_lists_the_open_ones() -> None:
    book = Book()
    book.add("action", 1, act="done", act_of=added(book, title="over").id)
    added(book)
    assert choose(actions(book.events), "act-2").title == "tests"
    with pytest.raises(UsageFault, match=r"open are ACT-002 \(tests\)$"):
        choose(actions(book.events), "7")


def test_days_and_types_are_read_or_named() -> None:
    assert [read_due(text, today=TODAY) for text in ("2026-12-01", "14 days", "in 2 weeks", "1d")] == [
        "2026-12-01", "2026-12-07", "2026-12-07", "2026-11-24",
    ]  # fmt: skip
    with pytest.raises(UsageFault, match="'soon' is no day"):
        read_due("soon", today=TODAY)
    with pytest.raises(UsageFault, match="'fix' is none") as fault:
        read_type("fix")
    assert "prevent, detect, mitigate, process" in fault.value.remedy


def test_an_action_item_is_added_done_and_proven_by_its_command(repos: Repos) -> None:
    here = repos.project().here
    given = (
        "--owner",
        "Bo",
        "--due",
        "2024-01-01",
        "--type",
        "detect",
        "--verify",
        "test -f proof || { echo no; false; }",
    )
    one = here.opskit("actions", "add", "Smoke covers café ☕ | *rooms*", *given, "--json").json
    assert (one["id"], one["owner"], one["due"], one["type"], one["state"]) == (
        "ACT-001", "Bo", "2024-01-01", "detect", "open",
    )  # fmt: skip
    [late] = here.opskit("status", "--json").json["actions"]
    assert (late["id"], late["title"]) == ("ACT-001", "Smoke covers café ☕ | *rooms*")
    red = here.opskit("actions", "verify", "1", "--json")
    assert (red.code, red.json["passed"], red.json["state"], "    no" in red.err) == (1, False, "open", True)
    assert here.opskit("actions", "done", "act-1").code == 0
    assert here.opskit("actions", "done", "ACT-001", "--json").json["written"] is False
    here.write("proof", "x")
    assert here.opskit("actions", "verify", "1", "--dry-run", "--json").json["passed"] is None
    green = here.opskit("actions", "verify", "1", "--json")
    assert (green.code, green.json["passed"], green.json["state"]) == (0, True, "verified")
    assert here.opskit("actions", "--json").json["actions"][0]["state"] == "verified"
    assert here.opskit("status", "--json").json["actions"] == []


def test_an_action_item_without_a_command_cannot_be_verified_until_it_is_given_one(repos: Repos) -> None:
    here = repos.project().here
    plain = here.opskit("actions", "add", "Review all normalising", "--json").json
    assert (plain["owner"], plain["type"], plain["verify"]) == ("Zoë Ångström", "prevent", None)
    assert here.opskit("actions", "verify", "1").code == 3
    assert here.opskit("actions", "edit", "1", "--verify", "true", "--json").json["verify"] == "true"
    assert here.opskit("actions", "verify", "1").code == 0


def test_an_action_item_names_its_incident_or_says_which_there_are(repos: Repos) -> None:
    here = repos.project().here
    here.opskit("incident", "open", "rooms", "--severity", "S0")
    assert here.opskit("actions", "add", "x", "--incident", "inc-1", "--json").json["incident"] == "INC-001"
    wrong = here.opskit("actions", "add", "x", "--incident", "4")
    assert (wrong.code, "open are INC-001 (rooms)" in wrong.err) == (2, True)
    listed = here.opskit("actions", "list", "--incident", "1", "--json").json["actions"]
    assert [one["id"] for one in listed] == ["ACT-001"]


def test_what_an_override_passed_over_is_an_action_item_of_its_incident(repos: Repos) -> None:
    here = repos.project().here
    here.opskit("incident", "open", "rooms", "--severity", "S0")
    assert here.opskit("hotfix", "start", "x", "--incident", "1").code == 0
    here.commit("fix: x")
    assert here.opskit("hotfix", "approve", "--reviewer", "Ada").code == 0
    assert here.opskit("hotfix", "finish", "--override", "users are waiting").code == 0
    [found] = here.opskit("actions", "--json").json["actions"]
    assert (found["id"], found["incident"], found["of"], found["type"]) == ("ACT-001", "INC-001", "v1.0.1", "process")
    assert "users are waiting" in found["title"]
