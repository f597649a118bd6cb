"""What must survive: kills of service, supervisor and keeper, upgrades, crash loops, torn state."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import opskit
from opskit.deploy.control import ChildState, ensure_running
from opskit.deploy.supervisor import policy
from tests.opskit.supervisor.harness import Load, Target, alive, processes_of, status_code, wait_for


def kill_supervisor(target: Target) -> None:
    """kill -9, and wait for the next one."""
    before = target.control.status().supervisor_pid
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: target.control.status().supervisor_pid != before)


def test_a_killed_supervisor_leaves_its_children_running_and_readopts_them(target: Target) -> None:
    target.deploy("1.0.0")
    before = target.deploy("2.0.0")
    kill_supervisor(target)
    after = target.control.status()
    assert (after.running, after.parked) == (before.running, before.parked)


def test_a_readopted_child_still_logs_and_its_exit_code_is_known(target: Target) -> None:
    target.deploy("1.0.0")
    kill_supervisor(target)
    target.get("/say")
    wait_for(lambda: "said" in target.log())
    with pytest.raises(OSError, match=r"(?i)remote end closed|reset"):
        target.get("/crash")
    assert wait_for(lambda: target.events("service.exited"))[0]["exit"] == 3


def test_a_supervisor_killed_during_a_launch_finishes_it_and_its_client_gets_the_answer(target: Target) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(target.control.launch, target.spec("1.0.0", env={"START_S": "0.7"}))
        pid = wait_for(lambda: (now := target.control.status().candidate) and now.pid)
        kill_supervisor(target)
        child = asked.result(timeout=10)
    assert (child.pid, child.state) == (pid, ChildState.READY)
    assert len(target.events("service.started")) == 1


@pytest.mark.parametrize("delay_s", [0, 0.02, 0.06])
def test_a_supervisor_killed_anywhere_in_a_cut_over_completes_it(target: Target, delay_s: float) -> None:
    target.deploy("1.0.0")
    target.control.launch(target.spec("2.0.0"))
    supervisor = target.control.status().supervisor_pid
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(target.control.cut_over)
        time.sleep(delay_s)  # this is the fault's place
        os.kill(supervisor, signal.SIGKILL)
        status = asked.result(timeout=10)
    assert (status.running and status.running.release.version) == "2.0.0"
    assert (status.parked and status.parked.release.version) == "1.0.0"
    assert status.operation == ""
    assert {target.get().split()[0] for _ in range(5)} == {"2.0.0"}


@pytest.mark.slow
def test_a_supervisor_that_hangs_is_replaced(target: Target) -> None:
    before = target.deploy("1.0.0")
    os.kill(before.supervisor_pid, signal.SIGSTOP)
    wait_for(lambda: not alive(before.supervisor_pid), timeout_s=25)
    assert target.control.status().running == before.running


def test_sigterm_to_the_keeper_stops_everything(target: Target) -> None:
    status = target.deploy("1.0.0")
    os.kill(status.keeper_pid, signal.SIGTERM)
    wait_for(lambda: not alive(status.keeper_pid))
    assert processes_of(target.state_dir) == []


def test_sigterm_to_the_keeper_twice_needs_no_supervisor(target: Target) -> None:
    status = target.deploy("1.0.0")
    os.kill(status.supervisor_pid, signal.SIGSTOP)
    for _ in range(2):
        os.kill(status.keeper_pid, signal.SIGTERM)
        time.sleep(0.1)  # two signals at once are one
    wait_for(lambda: not alive(status.keeper_pid))
    assert processes_of(target.state_dir) == []


def test_a_drain_goes_on_in_the_next_supervisor(target: Target) -> None:
    target.deploy("1.0.0", fault="ignore_term", drain_s=1)
    target.deploy("2.0.0")
    old = target.control.status().parked
    assert old is not None
    target.deploy("3.0.0")
    kill_supervisor(target)
    wait_for(lambda: not alive(old.pid), timeout_s=8)
    wait_for(lambda: "Fatal Python error: Aborted" in target.log())  # the end is seen before the last words are read


def test_a_killed_service_is_back_by_itself(target: Target) -> None:
    running = target.deploy("1.0.0").running
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    assert target.get().startswith("1.0.0")
    after = target.control.status().running
    assert after is not None
    assert after.pid != running.pid
    assert (after.exits, after.last_exit) == (1, "killed by signal 9")


def test_a_killed_keeper_is_replaced_and_nothing_is_lost(target: Target) -> None:
    before = target.deploy("1.0.0")
    os.kill(before.keeper_pid, signal.SIGKILL)
    after = wait_for(lambda: (now := target.control.status()).keeper_pid != before.keeper_pid and now)
    assert after.running == before.running
    assert target.get().startswith("1.0.0")


def test_after_a_power_cut_the_release_is_started_again(target: Target) -> None:
    before = target.deploy("1.0.0")
    assert before.running is not None
    for pid in (before.keeper_pid, before.supervisor_pid, before.running.pid):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not target.control.alive())
    ensure_running("local", target.state_dir, "127.0.0.1:0")
    after = wait_for(lambda: (now := target.control.status().running) and now.state is ChildState.PUBLIC and now)
    assert after.release == before.running.release
    assert target.get().startswith("1.0.0")


def test_a_service_left_without_keeper_and_supervisor_is_replaced(target: Target) -> None:
    before = target.deploy("1.0.0")
    assert before.running is not None
    os.kill(before.keeper_pid, signal.SIGSTOP)  # so that neither revives the other
    os.kill(before.supervisor_pid, signal.SIGKILL)
    os.kill(before.keeper_pid, signal.SIGKILL)
    wait_for(lambda: not target.control.alive())
    assert alive(before.running.pid)
    ensure_running("local", target.state_dir, before.public_url.removeprefix("http://"))
    wait_for(lambda: not alive(before.running.pid) if before.running else False)
    assert target.get().startswith("1.0.0")


def test_start_after_stop_brings_the_last_release_back(target: Target) -> None:
    target.deploy("1.0.0")
    target.control.stop()
    control = ensure_running("local", target.state_dir, "127.0.0.1:0")
    assert control.status().running is None
    assert control.start().running is not None
    assert target.get().startswith("1.0.0")


def test_a_crash_loop_stops_hammering_answers_503_and_tells(target: Target, tmp_path: Path) -> None:
    flag, told = tmp_path / "broken", tmp_path / "told"
    spec = target.spec("1.0.0", env={"CRASH_IF": str(flag)}, alert_command=f"tee {told}")
    target.control.launch(spec)
    status = target.control.cut_over()
    flag.touch()
    assert status.running is not None
    os.kill(status.running.pid, signal.SIGKILL)
    looping = wait_for(lambda: (now := target.control.status().running) and now.state == "crash_loop" and now)
    starts = len(target.events("service.started"))
    assert looping.exits == policy.EXITS_BEFORE_READY + 1
    wait_for(lambda: status_code(status.public_url) == 503)
    assert wait_for(lambda: told.exists() and told.read_text(encoding="utf-8")).startswith('{"event": "service.crash_')
    kill_supervisor(target)
    assert target.control.status().running == looping
    assert len(target.events("service.started")) == starts


def test_five_crashes_of_a_service_that_gets_ready_are_a_crash_loop_too(target: Target) -> None:
    target.deploy("1.0.0")
    for crash in range(1, policy.EXITS_IN_WINDOW + 1):
        running = wait_for(lambda: (now := target.control.status().running) and now.state is ChildState.PUBLIC and now)
        os.kill(running.pid, signal.SIGKILL)
        wait_for(lambda: len(target.events("service.exited")) == crash)  # noqa: B023 - called within the turn
    after = target.control.status().running
    assert after is not None
    assert after.state is ChildState.CRASH_LOOP


def test_a_deploy_mends_a_crash_loop(target: Target, tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    target.control.launch(target.spec("1.0.0", env={"CRASH_IF": str(flag)}))
    status = target.control.cut_over()
    flag.touch()
    assert status.running is not None
    os.kill(status.running.pid, signal.SIGKILL)
    wait_for(lambda: (now := target.control.status().running) and now.state == "crash_loop")
    target.deploy("1.0.1")
    assert target.get().startswith("1.0.1")


def test_an_upgrade_changes_the_code_of_both_and_keeps_the_children(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = target.deploy("1.0.0")
    monkeypatch.setattr(opskit, "__version__", "99.0.0")
    ensure_running("local", target.state_dir, "127.0.0.1:0")
    after = target.control.status()
    assert (after.keeper_version, after.supervisor_version) == ("99.0.0", "99.0.0")
    assert after.keeper_pid == before.keeper_pid
    assert after.supervisor_pid != before.supervisor_pid
    assert after.running == before.running
    assert target.get().startswith("1.0.0")


def test_an_older_opskit_does_not_take_a_newer_copys_place(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    before = target.control.status()
    monkeypatch.setattr(opskit, "__version__", "0.0.1")
    ensure_running("local", target.state_dir, "127.0.0.1:0")
    assert target.control.status() == before


def test_a_half_written_state_file_is_recovered_from(target: Target) -> None:
    before = target.deploy("1.0.0")
    target.control.stop()
    state = target.state_dir / "state.json"
    state.write_bytes(state.read_bytes()[:100])
    control = ensure_running("local", target.state_dir, "127.0.0.1:0")
    assert target.events("state.damaged")[0]["copy"] == "state.json"
    running = control.start().running
    assert running is not None
    assert before.running is not None
    assert running.release == before.running.release


def test_with_its_files_torn_a_supervisor_still_knows_its_children(target: Target) -> None:
    before = target.deploy("1.0.0")
    for name in ("state.json", "state.json.previous"):
        (target.state_dir / name).write_bytes(b"torn")
    kill_supervisor(target)
    assert target.control.status().running == before.running


def test_kills_of_the_supervisor_refuse_and_fail_no_request(target: Target) -> None:
    status = target.deploy("1.0.0")
    with Load(status.public_url, per_s=100) as load:
        kill_supervisor(target)
        kill_supervisor(target)
        load.until(load.done + 30)
    assert load.failures == []


def test_a_crash_of_the_service_queues_requests_and_refuses_none(target: Target) -> None:
    running = target.deploy("1.0.0").running
    assert running is not None
    with Load(target.control.status().public_url, per_s=100) as load:
        os.kill(running.pid, signal.SIGKILL)
        load.until(load.done + 100)
    assert [fault for fault in load.failures if "refused" in fault.lower()] == []
    assert len(load.failures) <= 3  # in flight at the kill
    assert load.slowest_s < 3


def test_killing_everything_again_and_again_leaves_one_whole_service(target: Target) -> None:
    target.deploy("1.0.0")
    for _ in range(3):
        status = wait_for(lambda: (now := target.control.status()).running and now.running.pid and now)
        os.kill(status.running.pid, signal.SIGKILL)
        os.kill(status.supervisor_pid, signal.SIGKILL)
        wait_for(lambda: target.control.status().supervisor_pid != status.supervisor_pid)  # noqa: B023 - as above
    assert target.get().startswith("1.0.0")
    assert len([line for line in processes_of(target.state_dir) if "service.py" in line]) == 1
