"""A repository with a small service, and the real opskit called in it: what tests of deploys stand on."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from opskit.deploy.control import Control, Status
from tests import forked

SERVICE = Path(__file__).with_name("service.py")
PYTHON = sys.executable
SMOKE = f"{PYTHON} smoke.py {{url}}"
SMOKE_PY = """\
import sys, urllib.request
try:
    urllib.request.urlopen(sys.argv[1] + "/coffee", timeout=5).read()
except OSError as fault:
    sys.exit(f"✗ a room named coffee\\n    wanted delivered, saw {fault}")
print("1 passed")
"""
GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(fact: Callable[[], bool], *, within_s: float = 10, what: str = "") -> None:
    """Return as soon as *fact* holds; fails the test when it does not in time."""
    deadline = time.monotonic() + within_s
    while not fact():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not happen within {within_s} s: {what or fact}")
        time.sleep(0.02)


@dataclass(frozen=True)
class Ran:
    """One call of opskit that ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]

    @property
    def steps(self) -> dict[str, str]:
        """Status by step, in order."""
        return {line["step"]: line["status"] for line in self.lines if "step" in line}


@dataclass
class Shop:
    """The repository at *path*, its one target `local`, and the state below *home*."""

    path: Path
    home: Path
    port: int = field(default_factory=free_port)
    state_at: Path | None = None  # where the state is, if not below home

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, **GIT, "HOME": str(self.home), "XDG_STATE_HOME": "", "PYTHONPATH": ""}

    @property
    def call_env(self) -> dict[str, str]:
        """What opskit is called with."""
        return {**self.env, "PYTHONPATH": str(Path(__file__).parents[3])}

    @property
    def state_dir(self) -> Path:
        return self.state_at or self.home / "state"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def control(self) -> Control:
        return Control(self.state_dir)

    @property
    def status(self) -> Status:
        return self.control.status()

    def git(self, *args: str) -> str:
        """Run git here and return what it prints."""
        return subprocess.run(
            ["git", *args], cwd=self.path, env=self.env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def configure(self, **keys: Any) -> None:
        """Write `opskit.toml` with these keys of the target over the fixture's own."""
        values: dict[str, Any] = {
            "bind": f"127.0.0.1:{self.port}",
            "start": f"{PYTHON} service.py",
            "smoke": SMOKE,
            "state_dir": str(self.state_dir),
            "env": {"DATA_DIR": "{state_dir}"},
            "drain_s": 1,
            "ready_s": 5,
            **keys,
        }
        hooks = values.pop("hooks", {})
        text = f'develop = ""\nremote = ""\nhooks = {_toml(hooks)}\n[targets.local]\n'
        text += "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())
        (self.path / "opskit.toml").write_text(text, encoding="utf-8")

    def commit(self, tag: str = "", *, fault: str = "", note: str = "") -> str:
        """Commit what is there, with this fault, and tag it; returns the commit's id."""
        (self.path / "fault.txt").write_text(fault, encoding="utf-8")
        (self.path / "note.txt").write_text(note or tag, encoding="utf-8")
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", f"feat: {tag or fault or note}")
        if tag:
            self.git("tag", tag)
        return self.git("rev-parse", "HEAD")

    def opskit(self, *args: str, env: Mapping[str, str] | None = None) -> Ran:
        """Run opskit here to its end."""
        done = forked.opskit(*args, cwd=self.path, env={**self.call_env, **(env or {})})
        return Ran(done.returncode, done.stdout, done.stderr)

    def deploy(self, *args: str) -> Ran:
        """Deploy with --json."""
        return self.opskit("deploy", *args, "--json")

    def get(self, path: str = "/") -> str:
        """The body of an answer on the public address."""
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    @property
    def serves(self) -> str:
        """The version that answers in public, "" for none."""
        try:
            return self.get().split(" ")[0]
        except (OSError, urllib.error.HTTPError):
            return ""

    def crash_until_rolled_back(self) -> None:
        """Kill the service each time it is there, until the supervisor gives production back."""

        def left() -> bool:
            running = self.status.running
            if self.status.parked is not None and self.status.parked.bad:
                return True
            if running is not None and running.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(running.pid, signal.SIGKILL)
            return False

        wait_for(left, within_s=60, what="rollback by the supervisor")

    def end(self) -> None:
        """Leave nothing running."""
        self.control.stop()


def open_shop(tmp_path: Path, *, state_at: Path | None = None, **keys: Any) -> Shop:
    """A repository with its first release tagged, nothing deployed."""
    shop = Shop(tmp_path / "shop", tmp_path / "home", state_at=state_at)
    shop.path.mkdir(parents=True)
    shop.home.mkdir()
    shop.git("init", "-q", "-b", "main")
    shutil.copy(SERVICE, shop.path / "service.py")
    (shop.path / "smoke.py").write_text(SMOKE_PY, encoding="utf-8")
    shop.configure(**keys)
    shop.commit("v1.0.0")
    return shop


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


class Load:
    """Requests at a steady rate from a few threads, each on a connection of its own."""

    def __init__(self, url: str, *, per_s: float) -> None:
        self.url, self.per_s = url, per_s
        self.answered = 0
        self.failed: list[str] = []
        self.slowest_s = 0.0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(at,)) for at in range(THREADS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, at: int) -> None:
        due = time.monotonic() + at / self.per_s
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due += THREADS / self.per_s
            began = time.monotonic()
            try:
                with urllib.request.urlopen(self.url, timeout=10) as answer:
                    answer.read()
            except OSError as fault:
                with self._lock:
                    self.failed.append(str(fault))
                continue
            with self._lock:
                self.answered += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)


THREADS = 16
