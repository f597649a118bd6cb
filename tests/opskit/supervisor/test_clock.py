"""The machine's clock jumps back under a running supervisor: restarts, bakes, deadlines and records go on."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from opskit.deploy.control import BakeState, Child, ChildState, ensure_running
from opskit.deploy.supervisor.bringup import start_command
from tests.conftest import lacking
from tests.opskit.supervisor.harness import Target, wait_for


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """A file that says how far off the clock is."""
    path = tmp_path / "clock"
    path.write_text("+0\n", encoding="ascii")
    return path


@pytest.fixture
def target(target: Target, clock: Path) -> Iterator[Target]:
    """A target whose keeper and supervisor read their wall clock through *clock*, as a set clock would change it."""
    if not shutil.which("faketime"):
        lacking("faketime is not here", install="apt-get install faketime")
    preload = subprocess.run(
        ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    target.control.stop()
    faked = {"LD_PRELOAD": preload, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    keeper = subprocess.Popen(
        start_command("local"),
        cwd=target.state_dir / "opskit/current",
        env={**os.environ, **faked, "FAKETIME_DONT_FAKE_MONOTONIC": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(target.control.alive)
    yield target
    target.control.stop()
    keeper.wait(10)


def test_a_clock_that_jumps_back_disturbs_neither_restarts_nor_a_bake(target: Target, clock: Path) -> None:
    target.deploy("1.0.0")
    target.control.bake(minutes=0.03, health_every_s=0.2)
    clock.write_text("-2d\n", encoding="ascii")
    wait_for(lambda: (bake := target.control.status().bake) and bake.state is BakeState.PASSED)
    running = target.control.status().running
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)

    def restarted() -> Child | None:
        now = target.control.status().running
        return now if now and now.pid != running.pid and now.state is ChildState.PUBLIC else None

    again = wait_for(restarted)
    assert again.started_at < running.started_at  # the clock did jump
    assert target.deploy("2.0.0").running is not None
    assert target.get().startswith("2.0.0")
    os.kill(target.control.status().supervisor_pid, signal.SIGKILL)
    back = wait_for(lambda: target.control.status().running)
    assert back.release.version == "2.0.0"
    lines = (target.state_dir / "telemetry.jsonl").read_text(encoding="utf-8").splitlines()
    times = [json.loads(line)["at"] for line in lines]
    assert times != sorted(times)
    ensure_running("local", target.state_dir, json.loads((target.state_dir / "keeper.json").read_text())["bind"])
