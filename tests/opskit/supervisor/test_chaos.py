"""Operations under load while supervisor and keeper are killed at random moments."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable

import pytest

from opskit.deploy.control import ChildState, LaunchFailed
from opskit.errors import Refused
from tests.opskit.supervisor.harness import Load, Target, processes_of, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.alone]
SECONDS = 20


def kill_now_and_then(target: Target, chance: random.Random, over: threading.Event) -> None:
    """kill -9 of the supervisor or, more rarely, of the keeper."""
    while not over.wait(chance.uniform(0.05, 3)):
        with contextlib.suppress(Refused, ProcessLookupError):
            status = target.control.status()
            os.kill(chance.choice([status.supervisor_pid, status.supervisor_pid, status.keeper_pid]), signal.SIGKILL)


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_any_moment_fail_no_request_and_leave_one_whole_release(target: Target, seed: int) -> None:
    target.deploy("1.0.0")
    chance, over, done = random.Random(seed), threading.Event(), 0
    control = target.control

    def crash_at_once(version: str) -> None:
        with pytest.raises(LaunchFailed, match="exited with 7"):
            control.launch(target.spec(version, fault="crash_at_once"))

    def launch_and_discard(version: str) -> None:
        control.launch(target.spec(version))
        control.discard()

    operations: list[Callable[[str], object]] = [
        target.deploy,
        crash_at_once,
        lambda _: control.return_to_parked(),
        lambda _: control.restart(),
        launch_and_discard,
    ]
    killer = threading.Thread(target=kill_now_and_then, args=(target, chance, over))
    with Load(control.status().public_url, per_s=50) as load:
        target.deploy("2.0.0")
        killer.start()
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            chance.choice(operations)(f"{done}.0.0")
            done += 1
        over.set()
        killer.join()
    print(f"{done} operations, {load.done} requests, slowest {load.slowest_s * 1000:.0f} ms")
    assert load.failures == []
    wait_for(lambda: len([line for line in processes_of(target.state_dir) if "service.py" in line]) == 2)
    status = control.status()
    assert (status.operation, status.candidate) == ("", None)
    assert status.running is not None
    assert status.running.state is ChildState.PUBLIC
    assert target.get() == f"{status.running.release.version} {status.running.pid}\n"
