"""What counts as a spike, at its boundaries, and what is read out of metrics of other people's services."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.watch.look import Counted
from opskit.watch.rates import CRASH_WINDOW, ERROR_WINDOW, Tally, crashes, tally

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("requests", "failed", "spike"),
    [(0, 0, False), (2, 2, False), (3, 3, True), (60, 3, True), (61, 3, False), (100, 5, True), (101, 5, False)],
)
def test_three_failures_and_five_percent_are_a_spike(requests: int, failed: int, spike: bool) -> None:
    assert Tally(requests, failed).spike is spike


def test_answers_are_counted_by_status_from_counters_and_histograms_alike() -> None:
    metrics = """\
# HELP chat_http_request_seconds HTTP requests
chat_http_request_seconds_bucket{le="0.1",method="GET",route="/me",status="500"} 7.0
chat_http_request_seconds_count{method="GET",route="/me",status="200"} 90.0
chat_http_request_seconds_count{method="GET",route="/rooms/{id}",status="500"} 4.0
http_requests_total{code="5xx",handler="/"} 2 1700000000000
chat_closes_total{code="1011"} 9.0
chat_errors_total{code="internal"} 9.0
broken_total{status="500"} NaN
up 1.0
"""
    assert tally(metrics) == Tally(96, 6)


@pytest.mark.parametrize("metrics", ["", "up 1\n", "<html>", 'x_total{status="ok"} 1\n'])
def test_metrics_without_a_status_are_no_measurement(metrics: str) -> None:
    assert tally(metrics) is None


@given(st.text())
def test_no_text_breaks_the_count(text: str) -> None:
    tally(text)


def test_exits_of_this_release_within_the_window_are_its_crashes() -> None:
    def exit_at(ago: timedelta, **more: str) -> dict[str, str]:
        return {"event": "service.exited", "commit": "c1", "at": (NOW - ago).isoformat(), **more}

    records = [
        exit_at(CRASH_WINDOW),
        exit_at(CRASH_WINDOW + timedelta(seconds=1)),
        exit_at(timedelta(0), commit="other"),
        exit_at(timedelta(0), event="service.started"),
        exit_at(timedelta(0), at="yesterday"),
    ]
    assert crashes(records, commit="c1", now=NOW) == [NOW - CRASH_WINDOW]


def test_the_rate_is_of_the_window_not_of_the_whole_life() -> None:
    counted = Counted()
    assert counted.add("p", NOW, Tally(100, 50)) == (Tally(100, 50), "since its process began")
    assert counted.add("p", NOW + timedelta(minutes=1), Tally(200, 50))[0] == Tally(100, 0)
    came, since = counted.add("p", NOW + timedelta(minutes=1) + ERROR_WINDOW, Tally(300, 60))
    assert (came, since) == (Tally(100, 10), "in the last 5 min")


def test_a_new_process_begins_its_own_count() -> None:
    counted = Counted()
    counted.add("p", NOW, Tally(100, 50))
    assert counted.add("q", NOW + timedelta(minutes=1), Tally(10, 0))[0] == Tally(10, 0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20))
def test_what_came_is_never_negative_however_counters_go_back(steps: list[tuple[int, int]]) -> None:
    counted = Counted()
    for at, (good, bad) in enumerate(steps):
        came, _ = counted.add("p", NOW + at * timedelta(minutes=2), Tally(good + bad, bad))
        assert 0 <= came.failed <= came.requests
