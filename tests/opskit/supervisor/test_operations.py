"""Launch, cut over, return, restart, stop: the life of releases on a target, with real processes."""

import os
import signal
import socket
import urllib.error
from pathlib import Path

import pytest

from opskit.deploy.control import ChildState, Control, LaunchFailed, NotRunning
from opskit.errors import Refused
from tests.opskit.supervisor.conftest import held_up
from tests.opskit.supervisor.harness import (
    Target,
    alive,
    as_tree,
    cmdline,
    get,
    processes_of,
    status_code,
    wait_for,
)


def test_a_candidate_answers_on_its_private_socket_only(target: Target) -> None:
    child = target.control.launch(target.spec("1.0.0"))
    assert child.state is ChildState.READY
    assert get(child.private_url) == f"1.0.0 {child.pid}\n"
    assert not target.control.status().up


def test_after_the_cut_over_the_candidate_serves_the_public(shared: Target) -> None:
    status = shared.deploy("1.0.0")
    assert status.running is not None
    assert (status.running.state, status.candidate) == (ChildState.PUBLIC, None)
    assert shared.get() == f"1.0.0 {status.running.pid}\n"


def test_the_release_before_stays_parked_and_the_one_before_that_is_ended(shared: Target) -> None:
    first = shared.deploy("1.0.0").running
    shared.deploy("2.0.0")
    status = shared.deploy("3.0.0")
    assert status.running is not None
    assert status.parked is not None
    assert first is not None
    assert (status.running.release.version, status.parked.release.version) == ("3.0.0", "2.0.0")
    assert get(status.parked.private_url).startswith("2.0.0")
    wait_for(lambda: not alive(first.pid))


def test_the_parked_release_is_back_within_a_second_and_the_other_is_marked_bad(shared: Target) -> None:
    shared.deploy("1.0.0")
    shared.deploy("2.0.0")
    status = shared.control.return_to_parked(why="500 on /rooms")
    assert shared.get().startswith("1.0.0")
    assert status.parked is not None
    assert (status.parked.release.version, status.parked.bad) == ("2.0.0", "500 on /rooms")
    back = shared.events("return_to_parked")[-1]
    assert back["why"] == "500 on /rooms"


def test_without_a_parked_release_there_is_no_way_back(target: Target) -> None:
    target.deploy("1.0.0")
    with pytest.raises(Refused, match="no release is parked"):
        target.control.return_to_parked()


def test_without_a_candidate_there_is_no_cut_over(shared: Target) -> None:
    shared.control.discard()
    with pytest.raises(Refused, match="no candidate"):
        shared.control.cut_over()


def test_a_release_that_crashes_at_once_fails_its_launch_with_its_last_words(shared: Target) -> None:
    shared.deploy("1.0.0")
    with pytest.raises(LaunchFailed, match="it exited with 7 before it was ready") as failed:
        shared.control.launch(shared.spec("2.0.0", fault="crash_at_once"))
    assert failed.value.exit == 7
    assert failed.value.log_tail[-1] == "cannot open the database"
    assert shared.get().startswith("1.0.0")
    assert shared.control.status().candidate is None


def test_a_release_that_never_gets_ready_fails_its_launch_and_leaves_its_stacks_in_the_log(shared: Target) -> None:
    with pytest.raises(LaunchFailed, match=r"it was not ready within 0\.5 s"):
        shared.control.launch(shared.spec("2.0.0", fault="never_ready", ready_s=0.5))
    assert "most recent call first" in shared.log()


def test_a_command_that_does_not_exist_fails_its_launch_and_is_named(shared: Target) -> None:
    with pytest.raises(LaunchFailed, match="exited with 127") as failed:
        shared.control.launch(shared.spec("1.0.0", command="no-such-program serve"))
    assert "no-such-program" in failed.value.log_tail[-1]


def test_a_command_with_an_open_quote_fails_its_launch(shared: Target) -> None:
    with pytest.raises(LaunchFailed, match="No closing quotation"):
        shared.control.launch(shared.spec("1.0.0", command="serve 'half"))


def test_a_candidate_that_dies_is_refused_at_the_cut_over_and_its_private_port_refuses(shared: Target) -> None:
    shared.deploy("1.0.0")
    child = shared.control.launch(shared.spec("2.0.0"))
    os.kill(child.pid, signal.SIGKILL)
    wait_for(lambda: (now := shared.control.status().candidate) and now.state is ChildState.EXITED)
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(child.private_url)
    with pytest.raises(Refused, match="exited: killed by signal 9"):
        shared.control.cut_over()
    assert shared.get().startswith("1.0.0")


def test_discarding_ends_the_candidate(shared: Target) -> None:
    child = shared.control.launch(shared.spec("1.0.0"))
    shared.control.discard()
    assert not alive(child.pid)
    assert shared.control.status().candidate is None


def test_a_second_launch_takes_the_first_candidates_place(shared: Target) -> None:
    first = shared.control.launch(shared.spec("1.0.0"))
    second = shared.control.launch(shared.spec("2.0.0"))
    assert shared.control.status().candidate == second
    assert not alive(first.pid)


def test_a_service_gets_its_release_its_settings_and_nothing_of_the_callers_shell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copy: Path
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the caller")
    with held_up(tmp_path, copy) as target:
        spec = target.spec("1.2.3", env={"CHAT_BIND": "here"}, path_prepend=("/releases/env/bin",))
        child = target.control.launch(spec)
        env = as_tree(get(child.private_url + "/env"))
    assert (env["OPSKIT_VERSION"], env["OPSKIT_COMMIT"]) == ("1.2.3", "1" * 40)
    assert (env["LISTEN_FDS"], env["LISTEN_FDNAMES"], env["LISTEN_PID"]) == ("2", "public:private", str(child.pid))
    assert env["PATH"].startswith("/releases/env/bin:")
    expected = "HOME LANG LISTEN_FDNAMES LISTEN_FDS LISTEN_PID LOGNAME NOTIFY_SOCKET OPSKIT_COMMIT OPSKIT_INSTANCE"
    expected += " OPSKIT_VERSION PATH PWD PYTHONFAULTHANDLER USER CHAT_BIND"
    assert set(env) <= {*expected.split(), "OLDPWD", "SHLVL", "_", "LC_CTYPE"}


def test_a_service_inherits_no_other_descriptor(shared: Target) -> None:
    child = shared.control.launch(shared.spec("1.0.0"))
    inherited = {int(fd.name) for fd in Path(f"/proc/{child.pid}/fd").iterdir() if "socket" in str(fd.readlink())}
    assert inherited == {3, 4}


def test_a_restart_replaces_the_process_and_keeps_the_parked_release(shared: Target) -> None:
    shared.deploy("1.0.0")
    before = shared.deploy("2.0.0").running
    after = shared.control.restart()
    assert before is not None
    assert after.running is not None
    assert after.parked is not None
    assert after.running.release == before.release
    assert after.running.pid != before.pid
    assert after.parked.release.version == "1.0.0"
    wait_for(lambda: not alive(before.pid))


def test_a_service_that_ignores_sigterm_is_dumped_then_killed(shared: Target) -> None:
    child = shared.control.launch(shared.spec("1.0.0", fault="ignore_term", drain_s=0))
    shared.control.discard()
    assert not alive(child.pid)
    assert "Fatal Python error: Aborted" in shared.log()


def test_after_stop_nothing_runs_and_nothing_listens(target: Target) -> None:
    target.deploy("1.0.0")
    status = target.deploy("2.0.0")
    target.control.launch(target.spec("3.0.0"))
    host, port = status.public_url.removeprefix("http://").split(":")
    target.control.stop()
    assert processes_of(target.state_dir) == []
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0
    assert not target.control.alive()
    assert not (target.state_dir / "control.sock").exists()
    with pytest.raises(NotRunning, match="nothing holds this target up"):
        target.control.status()


def test_stopping_what_is_not_up_is_no_fault(tmp_path: Path) -> None:
    Control(tmp_path).stop()


def test_maintenance_answers_503_and_the_service_is_back_after_it(shared: Target) -> None:
    status = shared.deploy("1.0.0")
    assert shared.control.maintenance(True).maintenance
    wait_for(lambda: status_code(status.public_url) == 503)
    assert not shared.control.maintenance(False).maintenance
    wait_for(lambda: status_code(status.public_url) == 200)


def test_maintenance_that_ends_while_the_service_starts_does_not_disturb_the_start(target: Target) -> None:
    running = target.deploy("1.0.0", env={"START_S": "1"}).running
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    starting = wait_for(lambda: (now := target.control.status().running) and now.pid not in (0, running.pid) and now)
    target.control.maintenance(True)
    target.control.maintenance(False)
    wait_for(lambda: (now := target.control.status().running) and now.state is ChildState.PUBLIC)
    after = target.control.status().running
    assert after is not None
    assert (after.pid, after.exits) == (starting.pid, 1)


def test_the_command_lines_say_which_is_which(shared: Target) -> None:
    status = shared.control.status()
    keeper, supervisor = cmdline(status.keeper_pid), cmdline(status.supervisor_pid)
    assert "opskit-keeper local" in keeper
    assert "supervisor" not in keeper
    assert "opskit-supervisor local" in supervisor
    assert "keeper" not in supervisor


def test_keeper_and_supervisor_run_from_a_copy_in_the_state_directory(shared: Target) -> None:
    status = shared.control.status()
    for pid in (status.keeper_pid, status.supervisor_pid):
        assert Path(f"/proc/{pid}/cwd").readlink() == shared.state_dir / "opskit" / status.copy
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
        assert ".venv" not in maps + cmdline(pid)


def test_the_control_socket_is_for_its_owner_only(shared: Target) -> None:
    assert (shared.state_dir / "control.sock").stat().st_mode & 0o777 == 0o600
