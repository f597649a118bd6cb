"""Alerts: what is said, and that an URL that cannot work is named without its secrets."""

import importlib.util

import pytest

from opskit import alerts


def test_a_crash_loop_says_what_was_seen_and_what_to_type() -> None:
    event = {"event": "service.crash_loop", "target": "live", "version": "1.1.0"}
    title, body = alerts.words({**event, "exits": 4, "detail": "exited with 7", "retry_s": 60})
    assert title == "live: 1.1.0 is in a crash loop"
    assert body.startswith("4 exits, the last: exited with 7; next try in 60 s\n")
    assert "opskit rollback --target live" in body


@pytest.mark.parametrize(("restored", "says"), [({"version": "1.0.0"}, "1.0.0 is back"), (None, "nothing to go back")])
def test_a_failed_bake_says_where_production_stands(restored: dict[str, str] | None, says: str) -> None:
    event = {"event": "bake.failed", "target": "live", "version": "1.1.0", "check": "health", "saw": "GET /readyz: 503"}
    title, body = alerts.words({**event, "restored": restored})
    assert says in title
    assert body.startswith("health: GET /readyz: 503\n")


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # by apprise, on Python 3.11
def test_an_unusable_url_is_named_by_its_key_and_scheme_only() -> None:
    urls = ["json://127.0.0.1:1", "jsn://secret@host", "json://$HOOK_HOST/"]
    unknown, unset = alerts.faults(urls, environ={})
    assert unknown.startswith("alerts[1]: jsn://… is no URL")
    assert "secret" not in unknown
    assert unset.startswith("alerts[2]: $HOOK_HOST is not set")
    assert alerts.faults(["json://${HOOK_HOST}/"], environ={"HOOK_HOST": "127.0.0.1"}) == []


def test_without_apprise_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "find_spec", lambda name: None if name == "apprise" else importlib.util.find_spec(name))
    assert "pip install 'opskit[alerts]'" in alerts.faults(["json://127.0.0.1"], environ={})[0]
    assert alerts.faults([], environ={}) == []
    assert "no alert was sent" in alerts.send(["json://127.0.0.1"], {})[0]
