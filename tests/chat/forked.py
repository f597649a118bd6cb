"""Servers that need not import everything anew: forked from a process that has, one for each test process."""

import atexit
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

_POLL_S = 0.01
IMPORTED = (
    *("chat.cli", "chat.commands.serve", "chat.web.serve", "chat.storage.tables", "typer._adapters"),
    *("databases.backends.sqlite", "sqlalchemy.dialects.sqlite", "alembic.command"),
)


class Process(Protocol):
    """What tests do with a server's process; `subprocess.Popen` does it too."""

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
                raise subprocess.TimeoutExpired("chat serve", timeout or 0)
            time.sleep(_POLL_S)
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)


def serve(env: Mapping[str, str], *, log_path: Path) -> Process:
    """`chat serve` with this environment, what it prints added to a file."""
    parent = _parent()
    return Forked(parent, parent.ask(env=dict(env), log=str(log_path)))


class _Parent:
    """The process that has imported the server. It ends when its stdin is closed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chat.forked"],
            cwd=Path(__file__).parents[2],
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


@cache
def _parent() -> _Parent:
    return _Parent()


def _fork_on_demand() -> None:
    """Answer requests until nobody is left to ask; in each child: serve."""
    for module in IMPORTED:
        import_module(module)
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        answer: int | None
        if "poll" in asked:
            ended, status = os.waitpid(asked["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        else:
            answer = os.fork()
            if answer == 0:
                _become_server(asked["env"], log_path=asked["log"])
                import_module("chat.cli").main()
                return
        print(json.dumps(answer), flush=True)


def _become_server(env: Mapping[str, str], *, log_path: str) -> None:
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["chat", "serve"]


if __name__ == "__main__":
    _fork_on_demand()
