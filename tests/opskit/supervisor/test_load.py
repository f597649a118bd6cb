"""No request refused or failed, of at least 2,000 at 200 a second, through whatever operators do."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import opskit
from opskit.deploy.control import ensure_running
from tests.opskit.supervisor.harness import BASE, Load, Target, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.alone]
REQUESTS = 2_000


def deploy(target: Target, _patch: pytest.MonkeyPatch) -> None:
    target.deploy("2.0.0")
    target.control.return_to_parked(why="test")
    target.control.restart()


def kill_supervisor(target: Target, _patch: pytest.MonkeyPatch) -> None:
    before = target.control.status().supervisor_pid
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: target.control.status().supervisor_pid != before)


def kill_keeper(target: Target, _patch: pytest.MonkeyPatch) -> None:
    before = target.control.status().keeper_pid
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: target.control.status().keeper_pid != before)


def upgrade(target: Target, patch: pytest.MonkeyPatch) -> None:
    number = int(target.control.status().keeper_version.split(".")[-1])
    patch.setattr(opskit, "__version__", f"99.0.{number + 1}")
    ensure_running("local", target.state_dir, "127.0.0.1:0")


@pytest.mark.parametrize("act", [deploy, kill_supervisor, kill_keeper, upgrade])
def test_no_request_is_refused_or_fails(
    target: Target, monkeypatch: pytest.MonkeyPatch, act: Callable[[Target, pytest.MonkeyPatch], None]
) -> None:
    status = target.deploy("1.0.0")
    with Load(status.public_url) as load:
        for step in range(1, 4):
            load.until(REQUESTS * step // 4)
            act(target, monkeypatch)
        load.until(REQUESTS)
    print(f"{act.__name__}: {load.done} requests, {len(load.failures)} failed, slowest {load.slowest_s * 1000:.0f} ms")
    assert load.failures == []
    assert load.slowest_s < 2


def test_a_service_behind_the_relay_refuses_and_fails_no_request(target: Target) -> None:
    def page(version: str) -> str:
        (Path(target.spec(version).release.dir) / "index.html").write_text(version, encoding="utf-8")
        return f"{BASE} -m http.server --bind 127.0.0.1 {{port}}"

    status = target.deploy("1.0.0", command=page("1.0.0"), drain_s=30)
    with Load(status.public_url) as load:
        load.until(REQUESTS // 4)
        target.deploy("2.0.0", command=page("2.0.0"), drain_s=30)
        load.until(REQUESTS // 2)
        target.control.return_to_parked(why="test")
        load.until(REQUESTS * 3 // 4)
        target.control.restart()
        load.until(REQUESTS)
    print(f"relay: {load.done} requests, {len(load.failures)} failed, slowest {load.slowest_s * 1000:.0f} ms")
    assert load.failures == []
    assert load.slowest_s < 2


def test_crashes_refuse_no_request_and_fail_only_those_in_flight(target: Target) -> None:
    status = target.deploy("1.0.0")
    crashes = 3
    with Load(status.public_url) as load:
        for step in range(1, crashes + 1):
            load.until(REQUESTS * step // 4)
            running = wait_for(lambda: (now := target.control.status().running) and now.pid and now)
            os.kill(running.pid, signal.SIGKILL)
        load.until(REQUESTS)
    print(f"crash: {load.done} requests, {len(load.failures)} failed, slowest {load.slowest_s * 1000:.0f} ms")
    assert [fault for fault in load.failures if "refused" in fault.lower()] == []
    assert len(load.failures) <= 4 * crashes
    assert load.slowest_s < 3
