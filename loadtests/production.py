"""A clean clone of this checkout, put into service by its own opskit, and what operators do to it."""

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.bench.people import Api, Person
from loadtests.bench.servers import free_port

ROOT = Path(__file__).resolve().parents[1]
COMMAND_S = 900.0  # the first deploy installs what the service needs
_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Bench",
    "GIT_AUTHOR_EMAIL": "bench@example.org",
    "GIT_COMMITTER_NAME": "Bench",
    "GIT_COMMITTER_EMAIL": "bench@example.org",
}
# What a deploy with a newer opskit does first: its copy takes the place of the one that runs, children go on.
_UPGRADE = """\
import sys
from pathlib import Path
from opskit.deploy.control import ensure_running
ensure_running("local", Path(sys.argv[1]), sys.argv[2])
"""


class CommandFailed(Exception):
    """A command that had to end with 0 did not; its output is the text."""


@dataclass(frozen=True, slots=True)
class Production:
    """The clone at *path*, on *port* of the loopback, its state below *home*."""

    path: Path
    home: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def state_dir(self) -> Path:
        return self.home / ".local/state/opskit/opskit/local"

    @property
    def env(self) -> dict[str, str]:
        """What commands are called with: nothing of the caller's own state."""
        dropped = ("XDG_STATE_HOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if name not in dropped}
        return {**kept, **_GIT, "HOME": str(self.home), "PIP_CACHE_DIR": str(_pip_cache())}

    def run(self, *command: str) -> str:
        """What a command in the clone prints; raises `CommandFailed`."""
        done = subprocess.run(
            command, cwd=self.path, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=COMMAND_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise CommandFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def opskit(self, *arguments: str) -> str:
        """What the clone's opskit prints; raises `CommandFailed`."""
        return self.run(sys.executable, "-m", "opskit", *arguments)

    def commit(self) -> str:
        """A new commit that changes no dependency and no table; its id."""
        self.run("git", "commit", "-q", "--allow-empty", "-m", "feat: next")
        return self.run("git", "rev-parse", "HEAD").strip()

    def get(self, path: str) -> Any:
        """The JSON that the public address answers; raises OSError."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.loads(answer.read())

    @property
    def serves(self) -> str:
        """The commit that answers in public, "" if none does."""
        try:
            return str(self.get("/version")["commit"])
        except OSError:
            return ""

    def until_it_serves(self, commit: str, *, within_s: float = 60.0) -> None:
        """Wait for the first answer of *commit*; raises `TimeoutError`."""
        give_up_at_s = time.monotonic() + within_s
        while self.serves != commit:
            if time.monotonic() > give_up_at_s:
                raise TimeoutError(f"{commit[:12]} did not answer within {within_s:g} s")
            time.sleep(0.01)

    def person(self) -> Person:
        """A new account, signed in."""
        api = Api(self.port)
        try:
            body = {"username": f"bench-{secrets.token_hex(6)}", "password": secrets.token_urlsafe(18)}
            made = api.call("POST", "/auth/register", body=body)
        finally:
            api.close()
        return Person(made["user"]["id"], made["access_token"])

    def pid_of(self, word: str) -> int:
        """The process id of this target's `opskit-WORD`, 0 if there is none."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # gone by now
                words = (process / "cmdline").read_bytes().split(b"\0")
                here = (process / "cwd").resolve().is_relative_to(self.state_dir)
                if f"opskit-{word}".encode() in words and here:
                    return int(process.name)
        return 0

    def service_pid(self) -> int:
        """The process id of the running release."""
        status = json.loads(self.run(sys.executable, "-m", "opskit", "status", "--json").splitlines()[-1])
        return int(status["targets"][0]["pid"])

    def kill(self, word: str) -> None:
        """`kill -9` of keeper or supervisor; returns when another has taken its place."""
        before = self.pid_of(word)
        os.kill(before, signal.SIGKILL)
        _until(lambda: self.pid_of(word) not in (0, before), what=f"another {word}")

    def upgrade(self) -> None:
        """Have keeper and supervisor run other code of the same version; returns when they do."""
        before = self.pid_of("supervisor")
        with (self.path / "opskit/deploy/keeper.py").open("a", encoding="utf-8") as source:
            source.write(f"# {secrets.token_hex(4)}\n")
        self.run(sys.executable, "-c", _UPGRADE, str(self.state_dir), f"127.0.0.1:{self.port}")
        _until(lambda: self.pid_of("supervisor") not in (0, before), what="the new supervisor")

    def stop(self) -> None:
        """Leave nothing running."""
        self.opskit("stop", "--yes")


def clone(folder: Path) -> Production:
    """Clone this checkout's commit into *folder*, on a free port; nothing is deployed yet."""
    made = Production(folder / "clone", folder / "home", free_port())
    made.home.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", str(ROOT), str(made.path)], check=True, env={**os.environ, **_GIT})
    project = made.path / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    project.write_text(re.sub(r'bind = "127\.0\.0\.1:\d+"', f'bind = "127.0.0.1:{made.port}"', text), encoding="utf-8")
    made.run("git", "commit", "-qam", "chore: another port")
    return made


def _pip_cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("PIP_CACHE_DIR") or cache / "pip")


def _until(holds: Any, *, what: str, within_s: float = 30.0) -> None:
    give_up_at_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > give_up_at_s:
            raise TimeoutError(f"{what} did not come within {within_s:g} s")
        time.sleep(0.01)
