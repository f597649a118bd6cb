"""The record of an incident: its state, its times, its name, whatever order its events came in."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.errors import OpskitError, Refused, UsageFault
from opskit.incident.names import canonical, numbered
from opskit.incident.record import (
    Act,
    Severity,
    State,
    already,
    check,
    check_time,
    choose,
    grade,
    incidents,
)
from opskit.ledger import Event
from tests.opskit.incident.events import BEGAN, Book


def test_an_incident_goes_from_draft_to_resolved_and_its_times_are_those_of_its_events() -> None:
    book = Book()
    first = book.opened(5, severity=None, times={"detected": BEGAN.isoformat()})
    states = [incidents(book.events)[0].state]
    for act, minute in (("assess", 10), ("mitigate", 20), ("resolve", 210)):
        book.did(first, act, minute, severity="S0", decision="hotfix", rule="in the code")
        states.append(incidents(book.events)[0].state)
    assert states == [State.DRAFT, State.OPEN, State.MITIGATED, State.RESOLVED]
    [found] = incidents(book.events)
    assert found.times.as_json() == {
        "detected": "2026-11-23T09:00:00Z",
        "opened": "2026-11-23T09:10:00Z",
        "mitigated": "2026-11-23T09:20:00Z",
        "resolved": "2026-11-23T12:30:00Z",
    }
    assert (found.severity, found.decision, found.recovered_s()) == (Severity.S0, "hotfix", 20 * 60)


@given(st.lists(st.tuples(st.sampled_from([*Act, "later"]), st.booleans()), max_size=12))
def test_whatever_two_clones_wrote_a_state_never_goes_back_and_first_times_stand(acts: list[tuple[str, bool]]) -> None:
    book, order = Book(), list(State)
    ours, other = book.opened(), book.opened()
    seen = incidents(book.events)
    for minute, (act, first) in enumerate(acts):
        if act != Act.OPEN:
            book.did(ours if first else other, act, minute, severity="S1")
        now = incidents(book.events)
        for before, after in zip(seen, now, strict=True):
            assert order.index(before.state) <= order.index(after.state)
            assert before.times.mitigated in (None, after.times.mitigated)
            assert before.times.resolved in (None, after.times.resolved)
        seen = now


@pytest.mark.parametrize(
    ("acts", "act", "said"),
    [
        ((), Act.MITIGATE, "draft"),
        ((), Act.RESOLVE, "draft"),
        (("assess", "resolve"), Act.MITIGATE, "nothing is left to mitigate"),
        (("assess", "resolve"), Act.ASSESS, "its assessment stands"),
    ],
)
def test_what_a_state_does_not_allow_is_refused_with_the_reason(acts: tuple[str, ...], act: Act, said: str) -> None:
    book = Book()
    first = book.opened(severity=None)
    for number, each in enumerate(acts):
        book.did(first, each, number, severity="S1")
    with pytest.raises(Refused, match=said):
        check(incidents(book.events)[0], act)


def test_done_twice_is_already_done() -> None:
    book = Book()
    first = book.opened()
    assert already(incidents(book.events)[0], Act.MITIGATE) is None
    book.did(first, "mitigate", 3)
    [found] = incidents(book.events)
    assert (already(found, Act.MITIGATE), already(found, Act.RESOLVE)) == (BEGAN + timedelta(minutes=3), None)


def test_nothing_is_mitigated_before_it_was_detected() -> None:
    book = Book()
    book.opened(0)
    with pytest.raises(UsageFault, match="it was detected at"):
        check_time(incidents(book.events)[0], Act.MITIGATE, BEGAN - timedelta(minutes=1), option="--at")


@pytest.mark.parametrize("wanted", ["INC-001", "inc-1", " 1 ", "001", "INC1", "inc 1"])
def test_an_incident_answers_to_every_way_of_writing_its_number(wanted: str) -> None:
    every = [("INC-001", "A"), ("INC-010", "B"), ("INC-001-7Q3K", "C")]
    assert numbered(wanted, every, prefix="INC") == [0]


def test_a_number_given_offline_is_found_without_its_suffix_where_that_is_clear() -> None:
    assert numbered("2", [("INC-001", "A"), ("INC-002-7Q3K", "B")], prefix="INC") == [1]
    assert numbered("inc-2-7q3k", [("INC-002", "A"), ("INC-002-7Q3K", "B")], prefix="INC") == [1]
    assert numbered("2", [("INC-002-AAAA", "A"), ("INC-002-7Q3K", "B")], prefix="INC") == [0, 1]
    assert numbered("B", [("INC-002", "A"), ("INC-002", "B")], prefix="INC") == [1]


@given(st.integers(1, 99_999))
def test_every_number_comes_back_as_the_name_it_was_given_out_with(number: int) -> None:
    assert canonical(str(number), prefix="INC") == canonical(f"inc-{number}", prefix="INC") == f"INC-{number:03}"


def test_an_unknown_name_lists_the_open_ones() -> None:
    book = Book()
    book.opened(title="café ☕")
    book.did(book.opened(title="over"), "resolve", 1)
    with pytest.raises(UsageFault, match=r"open are INC-001 \(café ☕\)$"):
        choose(incidents(book.events), "9")


def test_a_bad_severity_names_the_choices() -> None:
    with pytest.raises(OpskitError) as fault:
        grade("critical")
    assert all(severity in fault.value.remedy for severity in Severity)
    assert grade("s0") is Severity.S0


def test_a_record_with_odd_values_is_read_as_far_as_it_goes() -> None:
    odd = Event("X", "yesterday", "incident", {"severity": 7, "times": [], "state": None})
    [found] = incidents([odd, Event("Y", "", "incident", {"of": "nobody", "act": "note"})])
    assert (found.name, found.severity, found.state) == ("X", None, State.OPEN)
