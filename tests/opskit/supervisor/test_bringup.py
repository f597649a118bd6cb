"""Bringing a target up: what can be in the way, and where it can be."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from opskit.deploy.control import Control, ensure_running
from opskit.deploy.sockets import parse_bind
from opskit.deploy.supervisor import copies, process
from opskit.deploy.supervisor.bringup import start_command
from opskit.errors import Refused, UsageFault
from tests.conftest import lacking
from tests.opskit.supervisor.harness import Target, as_tree, get, processes_of, wait_for


def test_a_taken_port_is_refused_naming_its_holder(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        bind = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(Refused, match=rf"{bind} is taken by process {os.getpid()} \(.*python"):
            ensure_running("local", tmp_path, bind)
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("bind", ["8000", "127.0.0.1:http", "127.0.0.1:70000", ""])
def test_a_bind_that_is_no_address_is_refused_with_an_example(tmp_path: Path, bind: str) -> None:
    with pytest.raises(UsageFault, match=re.escape(repr(bind)) + ".*127.0.0.1:8000"):
        ensure_running("local", tmp_path, bind)


def test_every_usual_way_to_write_an_address_is_understood() -> None:
    assert parse_bind("127.0.0.1:8000") == ("127.0.0.1", 8000)
    assert parse_bind("[::1]:8000") == ("::1", 8000)
    assert parse_bind(":8000") == ("0.0.0.0", 8000)
    assert parse_bind("localhost:0") == ("localhost", 0)


def test_another_address_than_the_one_held_is_refused(target: Target) -> None:
    with pytest.raises(Refused, match=r"held up on 127\.0\.0\.1:0; bind says 127\.0\.0\.1:1"):
        ensure_running("local", target.state_dir, "127.0.0.1:1")


def test_what_runs_already_goes_on(target: Target) -> None:
    before = target.deploy("1.0.0")
    ensure_running("local", target.state_dir, "127.0.0.1:0")
    assert target.control.status() == before


BRING_UP = """
import sys
from pathlib import Path
from opskit.deploy.control import ensure_running
from opskit.errors import Refused
try:
    ensure_running("local", Path(sys.argv[1]), "127.0.0.1:0")
except Refused as refused:
    print(refused)
"""


def test_a_state_directory_that_cannot_be_written_is_refused(copy: Path) -> None:
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        lacking("a permission fault needs an unprivileged user", install="apt-get install util-linux")
    unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as name:  # pytest's own directories are closed to that user
        shared = Path(name) / "shared"
        shutil.copytree((copy / "current" / "opskit").resolve(), Path(name) / "opskit")
        shared.mkdir(mode=0o555)
        for directory in (Path(name), *Path(name).rglob("*/")):
            directory.chmod(0o555 if directory == shared else 0o755)
        python = next(path for path in ("/usr/bin/python3", copies.interpreter()) if Path(path).exists())
        command = [*unprivileged, python, "-B", "-c", BRING_UP, str(shared / "state")]
        done = subprocess.run(command, cwd=name, capture_output=True, text=True, check=False)
    assert done.stdout == f"the state directory {shared / 'state'} cannot be written: Permission denied\n", done.stderr


def test_a_very_long_state_directory_works(tmp_path: Path, copy: Path) -> None:
    state_dir = tmp_path / ("a-long-name" * 6) / ("another-long-name" * 6)
    shutil.copytree(copy, state_dir / "opskit", symlinks=True)
    control = ensure_running("local", state_dir, "127.0.0.1:0")
    try:
        target = Target(control, state_dir, tmp_path / "releases")
        status = target.deploy("1.0.0")
        assert get(status.public_url).startswith("1.0.0")
        assert status.running is not None
        notify = Path(as_tree(get(status.running.private_url + "/env"))["NOTIFY_SOCKET"])
    finally:
        control.stop()
    assert processes_of(state_dir) == []
    assert not notify.parent.exists()


def test_a_copy_runs_without_checkout_and_venv(tmp_path: Path) -> None:
    copy = copies.install(tmp_path)
    statement = "import sys, opskit.deploy.supervisor.main; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    command = [copies.interpreter(), "-E", "-s", "-S", "-c", statement]
    done = subprocess.run(command, cwd=tmp_path / "opskit" / copy.id, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) <= {"opskit", "__main__"}


def test_a_copy_that_does_not_run_is_refused_and_the_current_one_stays(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = target.control.status()
    monkeypatch.setitem(copies.PROGRAMS, "keeper", "opskit.deploy.no_such_keeper")
    with pytest.raises(Refused, match="the copy does not run with"):
        ensure_running("local", target.state_dir, "127.0.0.1:0")
    assert target.control.status() == before
    assert copies.current(target.state_dir).id == before.copy


def test_only_the_newest_copies_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(copies.KEPT + 2):
        monkeypatch.setattr("opskit.__version__", f"1.{number}")
        copies.install(tmp_path)
    kept = [path.name.split("-")[0] for path in (tmp_path / "opskit").iterdir() if not path.is_symlink()]
    assert sorted(kept) == ["1.2", "1.3", "1.4"]


def test_the_keeper_takes_its_socket_from_systemd(tmp_path: Path, copy: Path) -> None:
    state_dir = tmp_path / "state"
    shutil.copytree(copy, state_dir / "opskit", symlinks=True)
    (state_dir / "logs").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as public, (tmp_path / "out").open("wb") as out:
        url = f"http://127.0.0.1:{public.getsockname()[1]}"
        cwd, env = str(state_dir / "opskit/current"), {**process.base_environment(), "LISTEN_FDS": "1"}
        pid = process.spawn(start_command("local"), cwd=cwd, env=env, sockets=(public.fileno(),), output=out.fileno())
    control = Control(state_dir)
    try:
        wait_for(control.alive)
        target = Target(control, state_dir, tmp_path / "releases")
        assert target.deploy("1.0.0").public_url == url
        assert get(url).startswith("1.0.0")
    finally:
        control.stop()
        os.waitpid(pid, 0)
