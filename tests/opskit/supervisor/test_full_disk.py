"""A full disk: the service goes on, the supervisor remembers, and commands say what is wrong."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from opskit.deploy.control import ensure_running
from opskit.errors import Refused
from tests.conftest import lacking
from tests.opskit.supervisor.conftest import held_up
from tests.opskit.supervisor.harness import wait_for


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mounted)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        lacking("a small disk needs the right to mount", install="sudo make test")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    filler.write(b"x" * size)


def test_on_a_full_disk_service_and_supervisor_survive_kills_and_a_cut_over(small_disk: Path, copy: Path) -> None:
    with held_up(small_disk, copy) as target:
        target.deploy("1.0.0")
        target.control.launch(target.spec("2.0.0"))
        fill(small_disk)
        status = target.control.cut_over()
        assert "No space left" in status.fault
        os.kill(status.supervisor_pid, signal.SIGKILL)
        after = target.control.status()
        assert (after.running, after.parked) == (status.running, status.parked)
        assert after.running is not None
        os.kill(after.running.pid, signal.SIGKILL)
        assert target.get().startswith("2.0.0")
        (small_disk / "filler").unlink()
        wait_for(lambda: target.control.restart().fault == "")


def test_a_full_disk_refuses_to_bring_a_target_up_until_there_is_room(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(Refused, match=r"the state directory .* cannot be written: No space left on device"):
        ensure_running("local", small_disk / "state", "127.0.0.1:0")
    (small_disk / "filler").unlink()
    control = ensure_running("local", small_disk / "state", "127.0.0.1:0")
    assert control.alive()
    control.stop()
