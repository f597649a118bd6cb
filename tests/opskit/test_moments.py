"""Times as people type them, and spans as they say them."""

from datetime import UTC, datetime

import pytest

from opskit.errors import UsageFault
from opskit.moments import in_words, parse_moment, told

NOW = datetime(2026, 11, 23, 9, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T08:30:00Z", "2026-11-23T08:30:00Z"),
        ("2026-11-23 09:30+02:00", "2026-11-23T07:30:00Z"),
        ("20261123T083000Z", "2026-11-23T08:30:00Z"),
        ("35 minutes ago", "2026-11-23T08:25:30Z"),
        ("3.5h ago", "2026-11-23T05:30:30Z"),
        ("1 Hour", "2026-11-23T08:00:30Z"),
        ("now", "2026-11-23T09:00:30Z"),
    ],
)
def test_a_moment_is_read_as_people_write_it(text: str, moment: str) -> None:
    assert told(parse_moment(text, now=NOW, option="--at")) == moment


def test_a_clock_time_is_the_last_such_one_here() -> None:
    local = NOW.astimezone()
    assert parse_moment(f"{local:%H:%M}", now=NOW, option="--at") == NOW.replace(second=0)
    later = local.replace(hour=(local.hour + 1) % 24)
    assert parse_moment(f"{later:%H:%M}", now=NOW, option="--at") < NOW


@pytest.mark.parametrize("text", ["", "soon", "25:00", "3 fortnights ago", "2026-13-01", "9" * 40 + " days ago"])
def test_what_is_no_time_is_named_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(UsageFault) as fault:
        parse_moment(text, now=NOW, option="--detected-at")
    assert "--detected-at" in str(fault.value)
    assert "35 minutes ago" in fault.value.remedy


def test_the_future_is_refused() -> None:
    with pytest.raises(UsageFault, match="in the future"):
        parse_moment("2026-11-23T09:01Z", now=NOW, option="--at")


@pytest.mark.parametrize(
    ("span_s", "words"),
    [(1, "1 second"), (89, "89 seconds"), (2100, "35 minutes"), (3.5 * 3600, "3.5 hours"), (7200, "2 hours"),
     (2.5 * 86400, "2.5 days")],
)  # fmt: skip
def test_a_span_is_told_in_the_unit_people_use(span_s: float, words: str) -> None:
    assert in_words(span_s) == words
