"""`make run` in a clean clone: the chat in service, replaced without a refused connection, ended without a trace."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from opskit.deploy import environments
from opskit.deploy.control import Control
from tests.opskit.deploy.shop import GIT, Load, free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
STATE = Path(".local/state/opskit/opskit/local")  # below HOME


@dataclass
class Clone:
    """A clone of this checkout's commit with an address of its own."""

    path: Path
    home: Path
    port: int

    @property
    def env(self) -> dict[str, str]:
        others = ("XDG_STATE_HOME", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL")  # of the make that runs the tests
        kept = {name: value for name, value in os.environ.items() if name not in others}
        return {**kept, **GIT, "HOME": str(self.home), "PIP_CACHE_DIR": str(pip_cache())}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def control(self) -> Control:
        return Control(self.home / STATE)

    def run(self, *command: str, within_s: float = 90) -> subprocess.CompletedProcess[str]:
        """Run a command here; its output is one stream."""
        return subprocess.run(
            command, cwd=self.path, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=within_s, check=False,
        )  # fmt: skip

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            return json.loads(answer.read())

    def answers(self) -> bool:
        try:
            return bool(self.get("/version"))
        except OSError:
            return False


@cache
def pip_cache() -> Path:
    done = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=False)
    return Path(done.stdout.strip() or "/nonexistent")


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    """A clean clone with its own HOME, on a free port."""
    made = Clone(tmp_path / "clone", tmp_path / "home", free_port())
    made.home.mkdir()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(made.path)], check=True, env={**os.environ, **GIT})
    project = made.path / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    project.write_text(text.replace('bind = "127.0.0.1:8000"', f'bind = "127.0.0.1:{made.port}"'), encoding="utf-8")
    assert made.run("git", "commit", "-qam", "chore: another port").returncode == 0
    yield made
    made.control.stop()


def share_installed_packages(clone: Clone) -> None:
    """Let the clone's environment be the packages that are installed here: the same lock file, nothing to install."""
    place = environments.environment_dir(clone.home / STATE / "environments", clone.path)
    place.mkdir(parents=True)
    (place / "lib").symlink_to(Path(sys.prefix) / "lib")
    environments.mark_ready(place)


def head(clone: Clone) -> str:
    return clone.run("git", "rev-parse", "HEAD").stdout.strip()


def listening_processes(clone: Clone) -> str:
    """Command lines of what still runs out of the clone's state directory."""
    mark = str(clone.home)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
            if str(where).startswith(mark):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return "\n".join(found)


def test_a_commit_of_this_repository_goes_into_service_and_survives_a_crash(clone: Clone) -> None:
    share_installed_packages(clone)
    opskit = str(Path(sys.executable).with_name("opskit"))
    done = clone.run(opskit, "deploy", "HEAD", "--yes")
    assert done.returncode == 0, done.stdout
    for step in ("preflight", "build", "start", "health", "smoke", "cut over", "smoke in public", "version"):
        assert re.search(rf"^✓ {step}\b", done.stdout, re.MULTILINE), done.stdout
    last = done.stdout.rstrip().splitlines()[-3:]
    assert clone.url in last[0]
    assert str(clone.home / STATE / "logs") in last[1]
    assert "make stop" in last[2]
    assert clone.get("/version")["commit"] == head(clone)

    service = clone.control.status().running
    assert service is not None
    os.kill(service.pid, signal.SIGKILL)
    wait_for(clone.answers, within_s=20)
    again = clone.control.status().running
    assert again is not None
    assert again.pid != service.pid

    assert clone.run(opskit, "stop", "--yes").returncode == 0
    assert listening_processes(clone) == ""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_make_run_twice_and_make_stop_in_a_clean_clone(clone: Clone) -> None:
    if not shutil.which("make"):
        pytest.fail("make is what this is about")
    first = clone.run("make", "run", f"PYTHON={base_python()}", within_s=600)
    assert first.returncode == 0, first.stdout
    assert "make stop" in first.stdout.rstrip().splitlines()[-1]

    (clone.path / "README.md").write_text("changed\n", encoding="utf-8")
    assert clone.run("git", "commit", "-qam", "docs: change").returncode == 0
    with Load(f"{clone.url}/healthz", per_s=50) as load:
        wait_for(lambda: load.answered > 20)
        began = time.monotonic()
        second = clone.run("make", "run")
        took_s = time.monotonic() - began
    assert second.returncode == 0, second.stdout
    print(f"second make run: {took_s:.1f} s; {load.answered} answered, slowest {load.slowest_s * 1000:.0f} ms")
    assert load.failed == []
    assert clone.get("/version")["commit"] == head(clone)
    if os.getloadavg()[0] < 2 * (os.cpu_count() or 1):  # a machine busy with other things says nothing of it
        assert took_s < 20

    assert clone.run("make", "stop").returncode == 0
    assert listening_processes(clone) == ""
    with pytest.raises(OSError, match="refused"):
        clone.get("/healthz")


def base_python() -> str:
    """The interpreter underneath this virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
