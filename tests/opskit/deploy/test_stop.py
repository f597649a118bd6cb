"""`opskit stop` ends everything, whoever still holds it; `opskit start` starts only what was good."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.opskit.deploy.shop import PYTHON, Shop, wait_for


def gone(pid: int) -> bool:
    """True if *pid* is no more, or a zombie that its parent has not collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_stop_ends_a_service_whose_keeper_and_supervisor_were_both_killed(running: Shop) -> None:
    status = running.status
    assert status.running is not None
    for pid in (status.supervisor_pid, status.keeper_pid):
        os.kill(pid, signal.SIGSTOP)  # so that neither takes the other's place
    for pid in (status.supervisor_pid, status.keeper_pid):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not running.control.alive())
    assert running.serves == "1.0.0"
    planned = running.opskit("stop", "--dry-run", "--json")
    assert str(status.running.pid) in planned.last["plan"][0]
    ran = running.opskit("stop", "--json")
    assert (ran.code, ran.last["stopped"]) == (0, True)
    assert gone(status.running.pid)
    assert running.serves == ""
    assert running.opskit("stop", "--json").last["stopped"] is False


@pytest.mark.slow
def test_stop_ends_a_keeper_whose_socket_was_removed(running: Shop) -> None:
    status = running.status
    assert status.running is not None
    (running.state_dir / "control.sock").unlink()
    refused = running.deploy()
    assert refused.code == 3
    assert f"is taken by process {status.keeper_pid}" in refused.last["error"]
    assert refused.last["remedy"] == "end it with opskit stop --target local, then deploy again"
    assert running.serves == "1.0.0"
    assert running.opskit("stop").code == 0
    assert all(gone(pid) for pid in (status.keeper_pid, status.supervisor_pid, status.running.pid))
    assert running.opskit("start").code == 0
    assert running.serves == "1.0.0"


RED_IN_PUBLIC = f"{PYTHON} -c 'import sys; sys.exit(sys.argv[1].endswith(sys.argv[2]) and 3)' {{url}}"


@pytest.mark.slow
def test_start_after_a_failed_deploy_to_a_stopped_target_starts_the_release_before(running: Shop) -> None:
    assert running.opskit("stop").code == 0
    running.configure(smoke=f"{RED_IN_PUBLIC} :{running.port}")
    running.commit("v1.1.0")
    ran = running.deploy()
    assert (ran.code, ran.steps["smoke in public"]) == (5, "failed")
    assert not running.control.alive()
    assert running.opskit("start", "--json").last["release"] == "1.0.0"
    assert running.serves == "1.0.0"


@pytest.mark.slow
def test_start_with_nothing_that_was_ever_good_is_refused_and_holds_nothing(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    never = shop.opskit("start", "--json")
    assert (never.code, never.last["remedy"]) == (3, "opskit deploy --target local")
    assert "nothing was ever deployed to target local" in never.last["error"]
    shop.configure(smoke=f"{RED_IN_PUBLIC} :{shop.port}")
    assert shop.deploy().code == 3
    after = shop.opskit("start", "--json")
    assert (after.code, after.last["remedy"]) == (3, "opskit deploy --target local")
    assert "no release has passed" in after.last["error"]
    assert not shop.control.alive()


def test_start_says_when_what_knew_of_the_last_release_is_lost(running: Shop) -> None:
    assert running.opskit("stop").code == 0
    for name in ("state.json", "state.json.previous"):
        (running.state_dir / name).write_bytes(b"torn")
    told = running.opskit("start", "--json")
    assert (told.code, "cannot be told" in told.last["error"], "1.0.0" in told.last["error"]) == (3, True, True)
    assert told.last["remedy"].startswith("opskit deploy 1.0.0 --target local")
    assert not running.control.alive()
    (running.state_dir / "state.json").unlink()
    assert "cannot be told" in running.opskit("start", "--json").last["error"]
    assert running.opskit(*told.last["remedy"].split()[1:5]).code == 0
    assert running.serves == "1.0.0"


@pytest.mark.slow
def test_a_start_that_fails_names_the_release_and_holds_nothing(running: Shop) -> None:
    assert running.opskit("stop").code == 0
    fault = next((running.state_dir / "releases").glob("1.0.0-*")) / "fault.txt"
    fault.chmod(0o644)
    fault.write_text("crash_at_once")
    ran = running.opskit("start", "--json")
    assert ran.code == 5
    assert "1.0.0" in ran.last["error"]
    assert "cannot open the database" in ran.last["error"]
    assert not running.control.alive()
