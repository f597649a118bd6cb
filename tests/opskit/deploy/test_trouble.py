"""A full disk, a clock that jumps back, files half written: one sentence, nothing half-done but what is journaled."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.opskit.deploy.shop import PYTHON, Shop

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB."""
    if os.getuid() != 0:
        lacking("only root can mount a small disk", install="run the tests as root")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        lacking(f"no tmpfs can be mounted: {mounted.stderr.strip()}", install="run the tests with CAP_SYS_ADMIN")
    yield place
    subprocess.run(["umount", str(place)], check=True)  # fails while anything still runs there


def test_a_full_disk_is_seen_before_anything_begins(small_disk: Path, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(state_at=small_disk / "state")
    assert shop.deploy().code == 0
    (small_disk / "filler").write_bytes(bytes(40 << 20))
    ran = shop.deploy()
    assert ran.code == 3
    assert "MiB free, a deploy needs" in ran.last["error"]
    assert shop.serves == "1.0.0"


def test_a_build_that_fills_the_disk_is_put_back(small_disk: Path, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(state_at=small_disk / "state")
    assert shop.deploy().code == 0
    shop.configure(build="dd if=/dev/zero of=big bs=1M 2>&1 || { echo no space; exit 1; }")
    shop.commit("v1.1.0")
    ran = shop.deploy()
    assert ran.code == 5, ran.err
    assert "Traceback" not in ran.err
    assert shop.serves == "1.0.0"
    assert shop.opskit("status", "--json").last["operation"] is None


def test_a_release_that_fills_the_disk_is_put_back(small_disk: Path, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(state_at=small_disk / "state")
    assert shop.deploy().code == 0
    shop.commit("v1.1.0", fault="fill_disk")
    ran = shop.deploy()
    assert ran.code == 5, ran.err
    assert "Traceback" not in ran.err
    assert shop.serves == "1.0.0"


def test_a_clock_that_jumped_back_changes_nothing(running: Shop) -> None:
    if not shutil.which("faketime"):
        lacking("faketime is not here", install="apt-get install faketime")
    running.commit("v1.1.0")
    done = subprocess.run(
        ["faketime", "-f", "-2d", PYTHON, "-m", "opskit", "deploy"],
        cwd=running.path, env=running.call_env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert running.serves == "1.1.0"
    ran = running.opskit("rollback", "--reason", "clock", "--json")
    assert (ran.code, running.serves) == (0, "1.0.0")


@pytest.mark.parametrize("name", ["history.jsonl", "operation.jsonl", "lock.json"])
def test_a_half_written_file_of_ours_stops_nothing(running: Shop, name: str) -> None:
    path = running.state_dir / name
    whole = path.read_bytes() if path.exists() else b'{"intent": {"id": "01X", "ki'
    path.write_bytes(whole[: len(whole) // 2])
    running.commit("v1.1.0")
    ran = running.deploy()
    assert ran.code == 0, ran.err
    assert running.serves == "1.1.0"


def test_after_uninstall_and_stop_nothing_is_left(running: Shop) -> None:
    assert running.opskit("target", "uninstall", "--yes").code == 0
    assert running.opskit("stop", "--yes").code == 0
    assert running.serves == ""
    mark = str(running.state_dir).encode()
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "cmdline").read_bytes() or mark in os.fsencode((process / "cwd").readlink()):
                left.append(process.name)
        except OSError:
            continue
    assert left == []
