"""The bake, in the supervisor, with real processes."""

import asyncio
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from opskit.deploy.control import Bake, BakeState, LaunchSpec, Release, Verdict
from opskit.deploy.supervisor.bake import Bakery
from opskit.deploy.supervisor.core import Supervisor
from opskit.deploy.supervisor.state import BakeOrder, Slot, State
from opskit.errors import Refused
from tests.opskit.supervisor.harness import BASE, Target, wait_for


def bake(target: Target, **options: Any) -> None:
    """A bake that looks often."""
    target.control.bake(**{"minutes": 5, "health_every_s": 0.2, "smoke_every_s": 1, **options})


def ended(target: Target) -> Bake:
    """The bake, once it is over."""

    def over() -> Bake | None:
        now = target.control.status().bake
        return now if now and now.state is not BakeState.BAKING else None

    result = wait_for(over, timeout_s=20)
    assert isinstance(result, Bake)
    return result


def failed(target: Target) -> Verdict:
    """The verdict of a bake that has failed."""
    result = ended(target)
    assert result.state is BakeState.FAILED
    assert result.verdict is not None
    return result.verdict


def test_a_release_that_stays_healthy_passes(shared: Target) -> None:
    shared.deploy("1.0.0")
    bake(shared, minutes=0.01, smoke_command=f"{BASE} -c pass")
    assert ended(shared).state is BakeState.PASSED
    assert shared.events("bake.passed")


def test_a_release_that_turns_unhealthy_is_taken_back_and_the_reason_named(shared: Target, tmp_path: Path) -> None:
    shared.deploy("1.0.0")
    shared.deploy("2.0.0", env={"FAIL_IF": str(tmp_path / "unhealthy")}, alert_command=f"tee {tmp_path / 'told'}")
    bake(shared)
    (tmp_path / "unhealthy").touch()
    verdict = failed(shared)
    assert (verdict.check, verdict.own, verdict.action) == ("health", True, "rolled_back")
    assert "GET /readyz: 503" in verdict.saw
    assert verdict.restored is not None
    assert verdict.restored.version == "1.0.0"
    assert shared.get().startswith("1.0.0")
    assert wait_for(lambda: "bake.failed" in (tmp_path / "told").read_text(encoding="utf-8"))
    parked = shared.control.status().parked
    assert parked is not None
    assert parked.bad.startswith("health: GET /readyz: 503")


def test_what_fails_on_the_parked_release_too_is_a_dependencys_fault(shared: Target, tmp_path: Path) -> None:
    env = {"FAIL_IF": str(tmp_path / "database-down")}
    shared.deploy("1.0.0", env=env)
    shared.deploy("2.0.0", env=env)
    bake(shared)
    (tmp_path / "database-down").touch()
    note = wait_for(lambda: (now := shared.control.status().bake) and now.note)
    assert "dependency's fault" in note
    assert shared.get().startswith("2.0.0")


def test_one_failure_that_passes_when_repeated_is_no_verdict(shared: Target, tmp_path: Path) -> None:
    shared.deploy("1.0.0")
    shared.deploy("2.0.0")
    once = tmp_path / "failed-once"
    script = f"import pathlib, sys; p = pathlib.Path({str(once)!r}); seen = p.exists(); p.touch(); sys.exit(not seen)"
    bake(shared, minutes=0.05, smoke_command=f'{BASE} -c "{script}"')
    assert ended(shared).state is BakeState.PASSED
    assert once.exists()


def test_a_red_smoke_is_taken_back_with_what_it_printed(shared: Target) -> None:
    shared.deploy("1.0.0")
    shared.deploy("2.0.0")
    parked = shared.control.status().parked
    assert parked is not None
    script = f"import sys; sys.exit(sys.argv[1] != {parked.private_url!r} and 'cafe-☕ was not delivered')"
    bake(shared, smoke_command=f'{BASE} -c "{script}" {{url}}')
    verdict = failed(shared)
    assert (verdict.check, verdict.saw) == ("smoke", "exit 1: cafe-☕ was not delivered")
    assert shared.get().startswith("1.0.0")


def test_crashes_in_the_bake_are_taken_back(shared: Target, tmp_path: Path) -> None:
    shared.deploy("1.0.0")
    status = shared.deploy("2.0.0", env={"CRASH_IF": str(tmp_path / "broken")})
    bake(shared)
    (tmp_path / "broken").touch()
    assert status.running is not None
    os.kill(status.running.pid, signal.SIGKILL)
    verdict = failed(shared)
    assert (verdict.check, verdict.action) == ("crashes", "rolled_back")
    assert shared.get().startswith("1.0.0")


def test_a_bake_goes_on_in_the_next_supervisor(shared: Target, tmp_path: Path) -> None:
    shared.deploy("1.0.0")
    shared.deploy("2.0.0", env={"FAIL_IF": str(tmp_path / "unhealthy")})
    bake(shared)
    os.kill(shared.control.status().supervisor_pid, signal.SIGKILL)
    (tmp_path / "unhealthy").touch()
    assert failed(shared).check == "health"
    assert shared.get().startswith("1.0.0")


def test_a_bake_with_nothing_to_go_back_to_says_so(target: Target, tmp_path: Path) -> None:
    target.deploy("1.0.0", env={"FAIL_IF": str(tmp_path / "unhealthy")})
    bake(target)
    (tmp_path / "unhealthy").touch()
    verdict = failed(target)
    assert (verdict.action, verdict.restored) == ("none", None)
    assert target.get().startswith("1.0.0")


def test_a_parked_release_that_died_is_started_again_to_go_back_to(shared: Target, tmp_path: Path) -> None:
    shared.deploy("1.0.0")
    status = shared.deploy("2.0.0", env={"FAIL_IF": str(tmp_path / "unhealthy")})
    assert status.parked is not None
    os.kill(status.parked.pid, signal.SIGKILL)
    bake(shared)
    (tmp_path / "unhealthy").touch()
    assert failed(shared).action == "rolled_back"
    assert shared.get().startswith("1.0.0")


def test_a_new_cut_over_supersedes_a_bake(shared: Target) -> None:
    shared.deploy("1.0.0")
    bake(shared)
    shared.deploy("2.0.0")
    assert ended(shared).state is BakeState.SUPERSEDED


def test_nothing_running_cannot_bake(target: Target) -> None:
    with pytest.raises(Refused, match="nothing runs"):
        bake(target)


def test_a_smoke_command_that_cannot_be_read_is_told_and_does_not_stop_the_bake(shared: Target) -> None:
    shared.deploy("1.0.0")
    shared.deploy("2.0.0")
    bake(shared, minutes=0.03, smoke_command="smoke 'here")
    result = ended(shared)
    assert result.state is BakeState.PASSED
    assert "No closing quotation" in result.note


async def test_a_bake_that_fails_by_itself_ends_and_says_why() -> None:
    release = Release("/r", "1", "1")
    state = State(
        running=Slot(spec=LaunchSpec(release=release, command="serve")),
        order=BakeOrder(until=time.monotonic() + 60, health_every_s=1, smoke_command="", smoke_every_s=1),
        bake=Bake(id="b", release=release, state=BakeState.BAKING, started_at="", minutes=1, remaining_s=60, checks=0),
    )
    faults = [RuntimeError("a bug")]

    def save() -> None:
        if faults:
            raise faults.pop()

    supervisor = SimpleNamespace(state=state, save=save, record=lambda *_, **__: None)
    bakery = Bakery(cast("Supervisor", supervisor))
    bakery.resume()
    assert bakery.task is not None
    await asyncio.wait([bakery.task])
    await asyncio.sleep(0)  # its callbacks
    assert state.order is None
    assert state.bake is not None
    assert (state.bake.state, state.bake.note) == (
        BakeState.SUPERSEDED,
        "the bake itself failed: RuntimeError('a bug')",
    )
