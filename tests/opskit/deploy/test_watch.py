"""`opskit watch` on a real target: what it sees, what it keeps, whom it tells, how it ends."""

import json
import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from opskit import telemetry
from tests.opskit.deploy.shop import PYTHON, Shop, wait_for
from tests.opskit.deploy.test_alerts import Inbox, inbox

__all__ = ["inbox"]

FIELDS = {"at", "check", "ok", "detail"}


def ruin(shop: Shop, fault: str) -> None:
    """What runs has this fault from now on, in a fresh process."""
    file = next((shop.state_dir / "releases").glob("1.0.0-*")) / "fault.txt"
    file.chmod(0o644)
    file.write_text(fault)
    before = shop.status.running
    assert before is not None
    os.kill(before.pid, signal.SIGKILL)

    def anew() -> bool:
        now = shop.status.running
        return now is not None and now.pid not in (0, before.pid) and now.state == "public"

    wait_for(anew, what="a fresh process in service")


def watched(shop: Shop) -> dict[str, bool]:
    ran = shop.opskit("watch", "--once", "--json")
    assert all(set(line) == FIELDS for line in ran.lines)
    checks = {line["check"]: line["ok"] for line in ran.lines}
    assert ran.code == (0 if all(checks.values()) else 1)
    return checks


WELL = {"health": True, "crashes": True, "errors": True, "smoke": True}


def test_what_is_well_is_so_in_every_check_and_kept_in_telemetry(running: Shop) -> None:
    assert watched(running) == WELL
    kept = [record for record in telemetry.read(running.state_dir) if record["event"] == "watch"]
    assert {record["check"]: record["ok"] for record in kept} == WELL


@pytest.mark.slow
def test_a_change_is_told_once_and_so_is_its_end(make_shop: Callable[..., Shop], inbox: Inbox) -> None:
    url, got = inbox
    shop = make_shop(alerts=[url], smoke="")
    assert shop.deploy().code == 0
    assert watched(shop) == WELL
    ruin(shop, "not_healthy")
    bad = {"health": False, "crashes": True, "errors": True, "smoke": False}
    assert watched(shop) | {"errors": True} == bad
    assert watched(shop) | {"errors": True} == bad
    ruin(shop, "")
    assert watched(shop)["health"]
    titles = [message["title"] for message in got]
    assert len(titles) == 2
    assert titles[0].startswith("local: health, ")
    assert "bad (1.0.0)" in titles[0]
    assert "opskit rollback --target local --reason" in got[0]["message"]
    assert "failing: database" in got[0]["message"]
    assert "health" in titles[1]
    assert "well again" in titles[1]


@pytest.mark.slow
def test_crashes_that_add_up_are_bad_even_while_it_serves(running: Shop) -> None:
    ruin(running, "")
    ruin(running, "")
    assert watched(running) == WELL
    ruin(running, "")
    assert watched(running) == {**WELL, "crashes": False}


@pytest.mark.slow
def test_errors_that_the_service_counts_are_bad_even_while_it_is_healthy(running: Shop) -> None:
    ruin(running, "count_500")
    ran = running.opskit("watch", "--once")
    assert ran.code == 1
    assert "errors   BAD      4 of 44 failed (9.1%) since its process began, of all requests" in ran.out
    assert "health   ok" in ran.out


@pytest.mark.parametrize("text", ["nan", "0"])
def test_an_interval_must_be_a_number_of_seconds(shop: Shop, text: str) -> None:
    ran = shop.opskit("watch", "--interval", text)
    assert (ran.code, "Traceback" in ran.err) == (2, False)


@pytest.mark.slow
def test_a_red_smoke_is_named(running: Shop) -> None:
    ruin(running, "answer_500")
    ran = running.opskit("watch", "--once")
    assert ran.code == 1
    assert "smoke    BAD      a room named coffee: wanted delivered, saw HTTP Error 500" in ran.out
    assert "opskit rollback --target local --reason 'smoke: a room named coffee" in ran.out


def test_what_does_not_run_is_bad_and_says_what_to_type(shop: Shop) -> None:
    ran = shop.opskit("watch", "--once")
    assert ran.code == 1
    assert "nothing is in service on target local; opskit start" in ran.out
    assert "Traceback" not in ran.err


@pytest.mark.slow
def test_maintenance_raises_no_alarm(make_shop: Callable[..., Shop], inbox: Inbox) -> None:
    shop = make_shop(alerts=[inbox[0]], smoke="")
    assert shop.deploy().code == 0
    assert shop.opskit("maintenance", "on").code == 0
    assert watched(shop) == WELL
    assert inbox[1] == []


@pytest.mark.slow
def test_an_alert_that_reached_nobody_is_tried_again(make_shop: Callable[..., Shop], inbox: Inbox) -> None:
    shop = make_shop(alerts=["json://$HOOK/"], smoke="")
    hook = inbox[0].removeprefix("json://").rstrip("/")
    dead, alive = {"HOOK": "127.0.0.1:9"}, {"HOOK": hook}
    assert shop.opskit("deploy", env=dead).code == 0
    ruin(shop, "not_healthy")
    ran = shop.opskit("watch", "--once", env=dead)
    assert "was not delivered" in ran.out
    assert shop.opskit("watch", "--once", env=alive).code == 1
    assert shop.opskit("watch", "--once", env=alive).code == 1
    assert len(inbox[1]) == 1


@pytest.mark.slow
def test_it_goes_on_until_it_is_interrupted_and_ends_cleanly(running: Shop) -> None:
    call = [PYTHON, "-m", "opskit", "watch", "--json", "--interval", "1", "--smoke-interval", "100"]
    with subprocess.Popen(
        call, cwd=running.path, env=running.call_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(7)]
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    assert [line["check"] for line in lines] == ["health", "crashes", "errors", "smoke", "health", "crashes", "errors"]
    assert process.returncode == 130
    assert "Traceback" not in told
    kept = [record for record in telemetry.read(running.state_dir) if record["event"] == "watch"]
    assert len(kept) == 4  # what stays as it was is kept once a minute
