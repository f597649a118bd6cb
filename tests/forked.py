"""Commands that need not import everything anew: forked from a process that has, one for each test process and half."""

import atexit
import contextlib
import gc
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, Protocol

_ROOT = Path(__file__).parents[1]
_POLL_S = 0.005
_CHAT = (
    *("chat.cli", "chat.commands.serve", "chat.web.serve", "chat.storage.tables", "typer._adapters"),
    *("databases.backends.sqlite", "sqlalchemy.dialects.sqlite", "alembic.command"),
)
_OPSKIT = (
    *("opskit.cli", "typer._adapters", "git", "jinja2", "rich.console", "opskit.deploy.deploying"),
    *(f"opskit.verbs.{path.stem}" for path in sorted((_ROOT / "opskit/verbs").glob("[a-z]*.py"))),
)

_SMOKE = ("smoke.__main__", "_pytest.assertion.rewrite", "_pytest.junitxml")


class Process(Protocol):
    """What tests do with a process; `subprocess.Popen` does it too."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...


class Forked:
    """A child of the process that forks. Its end is known once asked for, so signals never meet another process."""

    def __init__(self, parent: "_Parent", pid: int) -> None:
        self._parent, self.pid = parent, pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self._code is None:
            self._code = self._parent.ask(poll=self.pid)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """The exit code at its end; raises `subprocess.TimeoutExpired`."""
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            time.sleep(_POLL_S)
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)


def chat_serve(env: Mapping[str, str], *, log_path: Path) -> Process:
    """`chat serve` with this environment, what it prints added to a file."""
    return _parent(_CHAT).fork(["chat", "serve"], env=env, cwd=Path.cwd(), out=log_path, err=log_path)


def opskit(
    *args: str, cwd: Path, env: Mapping[str, str], stdin: str = "", timeout_s: float = 100
) -> "subprocess.CompletedProcess[str]":
    """One call of `opskit` to its end."""
    return _parent(_OPSKIT).run(["opskit", *args], cwd=cwd, env=env, stdin=stdin, timeout_s=timeout_s)


def smoke(*args: str, cwd: Path, env: Mapping[str, str], timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
    """One run of the smoke suite to its end."""
    return _parent(_SMOKE).run(["smoke", *args], cwd=cwd, env=env, stdin="", timeout_s=timeout_s)


class _Parent:
    """The process that has imported *modules*, the first one with the command's `main`. It ends with its stdin."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", *modules],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        atexit.register(self._process.communicate)
        self._turn = threading.Lock()

    def ask(self, **asked: Any) -> Any:
        """One request and its answer."""
        ask, answer = self._process.stdin, self._process.stdout
        assert ask is not None
        assert answer is not None
        with self._turn:
            ask.write(json.dumps(asked).encode() + b"\n")
            ask.flush()
            return json.loads(answer.readline())

    def fork(
        self, argv: list[str], *, env: Mapping[str, str], cwd: Path, out: Path, err: Path, given: Path | None = None
    ) -> Forked:
        """Begin a command that reads a file, what it prints added to files."""
        streams = [str(path) for path in (given or Path(os.devnull), out, err)]
        return Forked(self, self.ask(argv=argv, env=dict(env), cwd=str(cwd), streams=streams))

    def run(
        self, argv: list[str], *, env: Mapping[str, str], cwd: Path, stdin: str, timeout_s: float
    ) -> "subprocess.CompletedProcess[str]":
        """A command to its end, and what it printed."""
        with tempfile.TemporaryDirectory() as folder:
            given, out, err = (Path(folder, name) for name in ("given", "out", "err"))
            given.write_text(stdin, encoding="utf-8")
            code = self.fork(argv, env=env, cwd=cwd, given=given, out=out, err=err).wait(timeout_s)
            said = [path.read_bytes().decode(errors="surrogateescape") for path in (out, err)]
            return subprocess.CompletedProcess(argv, code, *said)


@cache
def _parent(modules: tuple[str, ...]) -> _Parent:
    return _Parent(modules)


def _fork_on_demand(modules: list[str]) -> None:
    """Answer requests until nobody is left to ask; in each child: be the command."""
    for module in modules:
        import_module(module)
    gc.freeze()  # or the first collection of each child would touch, and so copy, all of it
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        answer: int | None
        if "poll" in asked:
            ended, status = os.waitpid(asked["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        else:
            answer = os.fork()
            if answer == 0:
                _become(**asked)
                _end_with(import_module(modules[0]).main)
        print(json.dumps(answer), flush=True)


def _become(*, argv: list[str], env: Mapping[str, str], cwd: str, streams: list[str]) -> None:
    for target, path in enumerate(streams):
        source = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT if target else os.O_RDONLY, 0o644)
        os.dup2(source, target)
        os.close(source)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8", errors="surrogateescape")
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", errors="backslashreplace")
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = argv


def _end_with(main: Callable[[], object]) -> NoReturn:
    """Run *main* and end with its exit code at once: taking apart what was imported would be most of the work."""
    code = 1
    try:
        returned = main()
        code = returned if isinstance(returned, int) else 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - the end of a process: whatever it was is shown
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _fork_on_demand(sys.argv[1:])
