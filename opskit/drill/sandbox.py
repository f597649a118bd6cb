"""The sandbox of a drill: a temporary directory with a remote, a clone that holds the chat, and a target of its own.

Nothing outside it is read but the installed packages, and nothing is written: neither the user's git configuration nor
the home directory is seen by what runs in it.
"""

import os
import shlex
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opskit.deploy.control import Control
from opskit.errors import OpskitError, Refused
from opskit.git.runner import Git
from opskit.ledger import Event, Ledger

PATCHES = Path(__file__).with_name("patches")
GRACE_S = 10.0
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "NO_COLOR", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH")
_CONFIG = """\
main = "main"
develop = "develop"
version_files = ["pyproject.toml:project.version"]

[ci]
tests = "{python} -m pytest -q -p no:cacheprovider tests"

[hotfix]
test_command = "{python} -m pytest -q {{tests}}"

[targets.drill]
bind = "127.0.0.1:{port}"
build = "{python} -m compileall -q chat"
start = "{python} -m chat serve"
smoke = "{python} -m opskit.drill.visitor {{url}} @tests/smoke_rooms.txt"
state_dir = "{state_dir}"
env = {{ CHAT_DATA_DIR = "{{state_dir}}/data", CHAT_BCRYPT_COST = "4" }}
drain_s = 1
bake_minutes = 0.05
"""
_GIT_CONFIG = "[init]\n\tdefaultBranch = main\n[core]\n\tautocrlf = false\n[gc]\n\tauto = 0\n"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended; `output` is everything it printed, "" where that went to the terminal."""

    code: int
    output: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A place made by `sandbox`; commands run in its `clone`."""

    root: Path
    port: int

    @property
    def clone(self) -> Path:
        """The work tree."""
        return self.root / "chat"

    @property
    def url(self) -> str:
        """Where the service is, once it is deployed."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def control(self) -> Control:
        """The target's supervisor."""
        return Control(self.root / "state")

    @property
    def git(self) -> Git:
        """Git in the clone, to look with."""
        return Git.discover(self.clone)

    @property
    def remote(self) -> Git:
        """Git in the bare remote, to look with."""
        return Git.discover(self.root / "chat.git", bare=True)

    @property
    def events(self) -> list[Event]:
        """The ledger, oldest first."""
        return Ledger(self.git).read()

    def running(self) -> str:
        """The version in service; "" for none."""
        with suppress(OpskitError):
            running = self.control.status().running
            return running.release.version if running else ""
        return ""

    @property
    def env(self) -> dict[str, str]:
        """The environment of everything that runs here."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {
            "LANG": "C.UTF-8",
            **kept,
            "PATH": f"{self.root / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "tmp"),
            "PYTHONUSERBASE": site.getuserbase(),  # what is installed there goes by the home directory
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the tests here need none, and loading them takes seconds
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.root / "home" / "gitconfig"),
            **{f"GIT_{who}_NAME": "Drill" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "drill@example.org" for who in ("AUTHOR", "COMMITTER")},
        }

    def run(self, command: str, *, on_terminal: bool = False) -> Ran:
        """Run *command* by a shell in the clone, to its end; whatever it started is ended if this is interrupted."""
        shared = {"stdout": sys.stderr.fileno()}  # standard output may carry JSON
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(
            ["/bin/sh", "-c", command], cwd=self.clone, env=self.env, start_new_session=True,
            **(shared if on_terminal else streams),
        )  # fmt: skip
        try:
            printed, _ = process.communicate()
        except BaseException:
            _end(process)
            raise
        return Ran(process.returncode, (printed or b"").decode("utf-8", "replace").rstrip())

    def must(self, command: str) -> None:
        """As `run`; raises `Refused` if it fails."""
        if (ran := self.run(command)).code:
            raise Refused(f"the sandbox could not be made: {command}: {ran.output}")

    def commit_patch(self, name: str) -> None:
        """Commit a patch to the branch that is checked out."""
        self.must(f"git am -q ../patches/{name}.patch")

    def end(self) -> None:
        """End every process of the target."""
        with suppress(OpskitError):
            self.control.stop()


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """Make a sandbox; at the end its processes are gone, whatever happens. Its directory is the caller's to remove."""
    place = Sandbox(Path(tempfile.mkdtemp(prefix="opskit-drill-")).resolve(), _free_port())
    try:
        _furnish(place)
    except BaseException:
        remove(place)
        raise
    try:
        yield place
    finally:
        with _undisturbed():
            place.end()


def remove(place: Sandbox) -> None:
    """Remove the sandbox's directory; its processes are gone already."""
    with _undisturbed():
        shutil.rmtree(place.root, ignore_errors=True)


def _furnish(place: Sandbox) -> None:
    for name in ("home", "tmp", "bin", "chat"):
        (place.root / name).mkdir()
    (place.root / "home" / "gitconfig").write_text(_GIT_CONFIG, encoding="utf-8")
    shutil.copytree(PATCHES, place.root / "patches")
    for name, words in (
        ("python", ()),
        ("opskit", ("-P", "-m", "opskit")),
        ("visit", ("-m", "opskit.drill.visitor", place.url)),
    ):
        _write_program(place.root / "bin" / name, (sys.executable, *words))
    shutil.copytree(_chat(), place.clone / "chat", ignore=shutil.ignore_patterns("__pycache__"))
    python = shlex.quote(str(place.root / "bin" / "python"))
    config = _CONFIG.format(python=python, port=place.port, state_dir=place.root / "state")
    (place.clone / "opskit.toml").write_text(config, encoding="utf-8")
    (place.clone / "pyproject.toml").write_text('[project]\nname = "chat"\nversion = "0.0.0"\n', encoding="utf-8")
    (place.clone / ".gitignore").write_text("__pycache__/\n", encoding="utf-8")
    place.must("git init -q --bare ../chat.git && git init -q && git remote add origin ../chat.git")
    place.must("git add . && git commit -q -m 'chore: begin' && git checkout -q -b develop")
    place.commit_patch("project")
    place.must("git push -q -u origin main develop")


def _chat() -> Path:
    """The folder of the chat that was installed together with this opskit; raises `Refused` without one."""
    place = Path(__file__).parents[2] / "chat"
    if not (place / "__init__.py").is_file():
        raise Refused("the chat, which the drill operates, is not installed", remedy="install the whole distribution")
    return place


def _write_program(path: Path, words: tuple[str, ...]) -> None:
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the command and all in its process group to end, and after `GRACE_S` see to it."""
    with _undisturbed():
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            if _gone(process, within_s=GRACE_S):
                break
        if process.stdout:
            process.stdout.close()


def _gone(process: subprocess.Popen[bytes], *, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        process.poll()  # what is not waited for counts as there
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave the order of things to the end: a second Ctrl-C waits for it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
