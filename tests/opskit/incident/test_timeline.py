"""The timeline: one order of what people wrote and what the record knows happened, each row with its event."""

from opskit.incident.record import incidents
from opskit.incident.timeline import timeline
from tests.opskit.incident.events import Book


def test_notes_stand_between_deploys_releases_and_approvals_and_nothing_from_before_or_after() -> None:
    book = Book()
    book.deployed("1.0.0", -5)
    first = book.opened(1, times={"detected": "2026-11-23T09:00:00Z"})
    book.did(first, "note", 2, text="only ☕")
    start = book.deployed("1.0.1", 39, result="", phase="intent", operation="x")
    book.add("approval", 30, "approved hotfix/x at abc by Bo", why="small")
    book.deployed("1.0.1", 40, operation="x")
    book.add("action", 41, "not a part of it")
    book.did(first, "resolve", 50)
    book.deployed("1.1.0", 60)
    rows = timeline(incidents(book.events)[0], book.events)
    assert [row.text for row in rows] == [
        "detected",
        "opened as S0: rooms",
        "only ☕",
        "approved hotfix/x at abc by Bo; small",
        "deploy 1.0.1 to prod: done",
        "resolved",
    ]
    known = {event.id for event in book.events}
    assert all(row.id in known and row.id != start.id for row in rows)


def test_a_hotfix_linked_to_the_incident_is_told_even_after_it_was_resolved() -> None:
    book = Book()
    first = book.opened()
    book.did(first, "resolve", 5)
    book.add("hotfix", 30, "hotfix v1.0.1", incident="INC-001")
    book.add("hotfix", 31, "hotfix v1.0.2", incident="INC-002")
    assert [row.text for row in timeline(incidents(book.events)[0], book.events)][-1] == "hotfix v1.0.1"


def test_within_one_second_the_ledgers_order_stands() -> None:
    book = Book()
    first = book.opened()
    book.deployed("1.0.1", 5)
    book.did(first, "mitigate", 5)
    book.rolled_back("1.0.0", 5, previous="1.0.1")
    book.did(first, "resolve", 5)
    kinds = [row.kind for row in timeline(incidents(book.events)[0], book.events)]
    assert kinds == ["detected", "incident", "deploy", "incident", "rollback", "incident"]


def test_what_the_supervisor_did_stands_where_it_happened_not_where_it_was_written_down() -> None:
    book = Book()
    book.opened(0)
    book.did(incidents(book.events)[0].acts[0], "note", 5, text="quiet again")
    book.deployed("1.1.0", 60, result="rolled_back", at="2026-11-23T09:02:00Z", detail="crashes: 5 exits")
    texts = [row.text for row in timeline(incidents(book.events)[0], book.events)]
    assert texts[-2:] == ["deploy 1.1.0 to prod: rolled_back; crashes: 5 exits", "quiet again"]
