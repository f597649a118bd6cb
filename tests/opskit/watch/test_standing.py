"""A change is told once, and so is its end."""

from typing import Any

from opskit import alerts
from opskit.watch.standing import Seen, as_events, news, told_before

BAD = Seen("health", False, "GET /readyz answered 503; it's down")
GOOD = Seen("health", True, "200")


def test_what_is_well_from_the_beginning_is_no_news() -> None:
    assert as_events(news([GOOD], {}), target="live", version="1.0.0") == []


def test_what_is_bad_is_told_once() -> None:
    assert news([BAD], {}).failing == (BAD,)
    assert news([BAD], {"health": False}).failing == ()


def test_its_end_is_told_once() -> None:
    assert news([GOOD], {"health": False}).well == (GOOD,)
    assert news([GOOD], {"health": True}).well == ()


def test_a_check_that_could_not_be_made_is_no_news() -> None:
    skipped = Seen("health", True, "maintenance is on", skipped=True)
    assert news([skipped], {"health": False}).well == ()


def test_a_later_watch_knows_what_was_told() -> None:
    records: list[dict[str, Any]] = [
        {"event": "watch", "check": "health", "told": False},
        {"event": "watch", "check": "smoke", "told": False},
        {"event": "watch", "check": "smoke", "told": True},
        {"event": "service.exited", "check": "health", "told": True},
        {"event": "watch"},
    ]
    assert told_before(records) == {"health": False, "smoke": True}


def test_an_alert_carries_what_was_seen_and_the_commands_to_type() -> None:
    (event,) = as_events(news([BAD], {}), target="live", version="1.1.0")
    title, body = alerts.words(event)
    assert title == "live: health bad (1.1.0)"
    assert body.splitlines()[0] == "health: GET /readyz answered 503; it's down"
    assert (
        "opskit rollback --target live --reason 'health: GET /readyz answered 503; it'\"'\"'s down'"
        in body.splitlines()
    )


def test_the_end_says_so_and_asks_for_nothing() -> None:
    (event,) = as_events(news([GOOD], {"health": False}), target="live", version="1.1.0")
    assert alerts.words(event) == ("live: health well again (1.1.0)", "health: 200")
