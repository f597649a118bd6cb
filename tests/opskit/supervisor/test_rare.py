"""What happens seldom: late starts, numbers used again, descriptors, kills between two codes, things removed."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from opskit.deploy.control import ChildState, LaunchFailed, LaunchSpec, NotRunning, Release
from opskit.deploy.sockets import listen
from opskit.deploy.supervisor import children as children_module
from opskit.deploy.supervisor.bringup import start_command
from opskit.deploy.supervisor.children import Children
from opskit.deploy.supervisor.logs import ServiceLog
from opskit.deploy.supervisor.state import Slot, State, Store
from tests.opskit.supervisor.harness import Target, alive, processes_of, wait_for
from tests.opskit.supervisor.test_bake import bake, failed


def descriptors(pid: int) -> int:
    """How many *pid* has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_start_that_is_late_costs_that_process_and_not_the_next(target: Target, tmp_path: Path) -> None:
    late = tmp_path / "late"
    running = target.deploy("1.0.0", env={"LATE_ONCE": str(late)}, ready_s=1).running
    assert running is not None
    late.touch()
    os.kill(running.pid, signal.SIGKILL)
    wait_for(lambda: target.events("service.late"))
    killed_at = time.monotonic() + children_module.DUMP_S
    after = wait_for(lambda: (now := target.control.status().running) and now.state is ChildState.PUBLIC and now)
    wait_for(lambda: time.monotonic() > killed_at + 0.5)
    assert target.control.status().running == after
    assert after.exits == 2


def test_starts_that_fail_leave_no_descriptor_behind(target: Target) -> None:
    target.deploy("1.0.0")
    status = target.control.status()
    before = descriptors(status.supervisor_pid) + descriptors(status.keeper_pid)
    for _ in range(5):
        with pytest.raises(LaunchFailed, match="No closing quotation"):
            target.control.launch(target.spec("2.0.0", command="serve 'here"))
    wait_for(lambda: descriptors(status.supervisor_pid) + descriptors(status.keeper_pid) <= before)


class NoKeeper:
    """Takes what the keeper would hold."""

    def store(self, name: str, fd: int) -> None:
        """Hold nothing."""

    def drop(self, name: str) -> None:
        """Have nothing to close."""


async def test_the_exit_of_an_earlier_process_with_the_same_number_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    ended: asyncio.Queue[int | None] = asyncio.Queue()
    with listen("127.0.0.1:0") as public:
        log = ServiceLog(tmp_path)
        children = Children("t", tmp_path, NoKeeper(), log, public=public.fileno(), notify="")  # type: ignore[arg-type]  # as the link, but holding nothing
        children.on_exit = lambda _slot, code: ended.put_nowait(code)
        slot = Slot(spec=LaunchSpec(release=Release(str(tmp_path), "1", "1"), command="sleep 60"), instance=1)
        children.start(slot)
        for pid in (slot.pid, slot.pid + 1):  # a child of ours is not the keeper's to reap: that was another process
            children.orphan_ended(pid, 0)
        children.signal(slot, signal.SIGKILL)
        assert await asyncio.wait_for(ended.get(), 10) == -signal.SIGKILL
        assert children.orphan_exits == {}


def test_a_disk_that_takes_a_part_of_the_state_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = os.memfd_create("test")
    store, state, write = Store(tmp_path, memory), State(), os.write
    store.save(state)
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:20]))
    for _ in range(2):
        store.save(state)
    assert "No space left" in store.fault
    os.ftruncate(memory, 0)  # the machine loses power
    assert store.load()[0].number == 1
    os.close(memory)


def exits_of(target: Target, version: str) -> int:
    """How often that release has ended by itself so far."""
    return sum(event["version"] == version for event in target.events("service.exited"))


@pytest.mark.slow
def test_a_crash_while_production_is_taken_back_does_not_begin_it_again(target: Target) -> None:
    status = target.deploy("1.0.0", env={"START_S": "2"})
    status = target.deploy("2.0.0")
    bake(target, health_every_s=60)
    assert status.parked is not None
    os.kill(status.parked.pid, signal.SIGKILL)
    for crash in range(1, 5):
        running = wait_for(lambda: (now := target.control.status().running) and now.state is ChildState.PUBLIC and now)
        assert running.release.version == "2.0.0"
        os.kill(running.pid, signal.SIGKILL)
        wait_for(lambda: exits_of(target, "2.0.0") == crash)  # noqa: B023 - called within the turn
    verdict = failed(target)
    assert (verdict.check, verdict.action) == ("crashes", "rolled_back")
    assert [e["version"] for e in target.events("service.started")].count("1.0.0") == 2


def test_a_keeper_without_a_copy_to_start_from_uses_the_one_that_ran(target: Target) -> None:
    before = target.deploy("1.0.0")
    (target.state_dir / "opskit/current").unlink()
    os.kill(before.supervisor_pid, signal.SIGKILL)
    after = wait_for(lambda: (now := target.control.status()).supervisor_pid != before.supervisor_pid and now)
    assert (after.keeper_pid, after.running) == (before.keeper_pid, before.running)


@pytest.mark.parametrize("delay_s", [0.003, 0.01, 0.06])
def test_a_stop_that_comes_while_the_keeper_changes_its_code_is_not_lost(target: Target, delay_s: float) -> None:
    status = target.deploy("1.0.0")
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(target.control.upgrade)
        time.sleep(delay_s)  # this is the fault's place
        os.kill(status.keeper_pid, signal.SIGTERM)
        wait_for(lambda: not alive(status.keeper_pid))
        assert isinstance(asked.exception(timeout=35), NotRunning | None)
    assert processes_of(target.state_dir) == []


def test_a_keeper_that_cannot_read_its_settings_says_so_in_one_sentence(tmp_path: Path, copy: Path) -> None:
    shutil.copytree(copy, tmp_path / "opskit", symlinks=True)
    (tmp_path / "keeper.json").write_bytes(b'{"bi')
    here = tmp_path / "opskit/current"
    done = subprocess.run(start_command("local"), cwd=here, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"opskit-keeper: {tmp_path}/keeper.json: ")
    assert len(done.stderr.splitlines()) == 1
