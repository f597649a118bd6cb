"""Shapes and thresholds: plain rules, no load."""

import pytest

from loadtests.shapes import SHAPES
from loadtests.stage import Stage
from loadtests.thresholds import ALWAYS, LIMITS, judge, limits_with

FINE: dict[str, dict[str, float]] = {
    "all": {"count": 10, "failures_percent": 0.0},
    "connect": {"count": 2, "p95_ms": 10},
    "ack": {"count": 5, "p99_ms": 10},
    "send→hear": {"count": 5, "p99_ms": 10},
}


def test_what_is_within_its_limits_passes() -> None:
    assert all(one.ok for one in judge(FINE, limits_with([])))


@pytest.mark.parametrize("stat", ["connect", "ack", "send→hear"])
def test_what_nobody_measured_is_missed(stat: str) -> None:
    verdict = judge({name: row for name, row in FINE.items() if name != stat}, limits_with([]))
    assert [one.seen for one in verdict if not one.ok] == [None]


def test_a_limit_given_by_hand_replaces_the_usual_one() -> None:
    verdict = judge(FINE, limits_with(["ack_p99_ms=9.5"]))
    assert [(one.name, one.limit, one.seen) for one in verdict if not one.ok] == [("ack_p99_ms", 9.5, 10)]


@pytest.mark.parametrize("text", ["ack=1", "ack_p99_ms", "ack_p99_ms=fast", ""])
def test_a_limit_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="ack"):
        limits_with([text])


def test_what_must_be_measured_has_a_limit() -> None:
    assert set(LIMITS) >= ALWAYS


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_has_its_users_at_the_peak_and_never_more(name: str) -> None:
    shares = [SHAPES[name].present(step / 100) for step in range(101)]
    assert max(shares) == 1
    assert min(shares) >= 0


@pytest.mark.parametrize(("per_room", "sharing"), [(2, 1), (10, 5), (200, 5)])
def test_neighbours_share_a_room_and_few_of_them_an_account(per_room: int, sharing: int) -> None:
    stage = Stage(url="", nonce="", people_per_room=per_room, room_name="")
    assert stage.per_account == sharing
    assert per_room // stage.per_account >= 2
