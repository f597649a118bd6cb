"""Freeze windows: what they cover, in their own time zone, and what is refused."""

from datetime import UTC, datetime

import pytest

from opskit.deploy.freeze import NotAWindow, frozen_until, parse

WEEKEND = "fri 16:00 - mon 08:00 Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "now", "frozen"),
    [
        (WEEKEND, "2026-11-20T14:59", False),  # 15:59 in Berlin
        (WEEKEND, "2026-11-20T15:00", True),
        (WEEKEND, "2026-11-22T12:00", True),
        (WEEKEND, "2026-11-23T06:59", True),
        (WEEKEND, "2026-11-23T07:00", False),
        (WEEKEND, "2026-07-10T14:00", True),  # summer: 16:00 in Berlin
        (WEEKEND, "2026-07-10T13:59", False),
        ("22:00 - 06:00", "2026-11-23T23:00", True),
        ("22:00 - 06:00", "2026-11-24T05:59", True),
        ("22:00 - 06:00", "2026-11-24T06:00", False),
        ("12:00 - 13:00", "2026-11-24T12:30", True),
        ("12:00 - 13:00", "2026-11-24T13:30", False),
        ("sat - sun", "2026-11-22T23:59", True),
        ("sat - sun", "2026-11-23T00:00", False),
        ("mon 10:00 - mon 09:00", "2026-11-23T09:30", False),
        ("mon 10:00 - mon 09:00", "2026-11-25T09:30", True),
        ("2026-12-23 - 2027-01-02", "2027-01-02T23:59", True),
        ("2026-12-23 - 2027-01-02", "2027-01-03T00:00", False),
        ("2026-12-23 16:00 - 2027-01-02 08:00 Asia/Kathmandu", "2026-12-23T10:15", True),
    ],
)
def test_a_window_covers_its_start_but_not_its_end(window: str, now: str, frozen: bool) -> None:
    assert (parse(window).until(at(now)) is not None) is frozen


def test_a_frozen_target_says_until_when() -> None:
    hit = frozen_until([parse(WEEKEND), parse("sat - sun")], at("2026-11-21T12:00"))
    assert hit is not None
    assert hit[0].text == WEEKEND
    assert hit[1].astimezone(UTC) == at("2026-11-23T07:00")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("weekend", "is no freeze window"),
        ("", "is no freeze window"),
        (" - ", "an end is empty"),
        ("fri 16:00 - 08:00", "both ends"),
        ("fry 16:00 - mon 08:00", "'fry' is no day"),
        ("fri 26:00 - mon 08:00", "hour must be"),
        ("fri 16:00 - mon 08:00 Europe/Berlim", "'Europe/Berlim'"),
        ("2026-13-01 - 2026-12-01", "month must be"),
        ("2026-12-02 - 2026-12-01 ", "ends before it starts"),
    ],
)
def test_what_is_no_window_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(NotAWindow, match=says):
        parse(text)
