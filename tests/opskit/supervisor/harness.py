"""What the supervisor's tests share: releases of the test service, waiting with a deadline, requests, load."""

import asyncio
import json
import shlex
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from opskit import telemetry
from opskit.deploy.control import Control, LaunchSpec, Release, Status

SERVICE = Path(__file__).with_name("service.py")
BASE = sys.base_prefix + "/bin/python3"


def wait_for(holds: Callable[[], Any], *, timeout_s: float = 30) -> Any:
    """Poll until *holds* returns something true, and return that; fails after *timeout_s*."""
    deadline = time.monotonic() + timeout_s
    while not (result := holds()):
        assert time.monotonic() < deadline, f"still not so after {timeout_s:g} s"
        time.sleep(0.01)
    return result


def get(url: str, *, timeout_s: float = 5) -> str:
    """The body of GET *url*; raises urllib's errors."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        return str(answer.read().decode())


def status_code(url: str) -> int:
    """The status of GET *url*."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code


def alive(pid: int) -> bool:
    """True unless *pid* is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_of(state_dir: Path) -> list[str]:
    """The command lines of everything that runs out of *state_dir* or is marked as its service."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and alive(int(process.name)):
                inside = str((process / "cwd").readlink()).startswith(f"{state_dir}/opskit")
                if inside or f"OPSKIT_INSTANCE={state_dir}#".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@dataclass
class Target:
    """A target under test, and shorthands for what tests do with one."""

    control: Control
    state_dir: Path
    releases: Path

    def spec(self, version: str = "1.0.0", *, command: str = "", fault: str = "", **options: Any) -> LaunchSpec:
        """A release of the test service (or of *command*) in a directory of its own."""
        directory = self.releases / version
        directory.mkdir(parents=True, exist_ok=True)
        settings: dict[str, Any] = {"ready_s": 10, "drain_s": 1, **options}
        settings["env"] = {"FAULT": fault, **settings.get("env", {})} if fault else settings.get("env", {})
        return LaunchSpec(
            release=Release(str(directory), version, version[0] * 40),
            command=command or shlex.join([BASE, "-S", str(SERVICE)]),
            **settings,
        )

    def deploy(self, version: str = "1.0.0", **options: Any) -> Status:
        """Launch and cut over."""
        self.control.launch(self.spec(version, **options))
        return self.control.cut_over()

    def get(self, path: str = "/") -> str:
        """GET from the public socket."""
        return get(self.control.status().public_url + path)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The telemetry records of one kind."""
        return [entry for entry in telemetry.read(self.state_dir) if entry["event"] == name]

    def log(self) -> str:
        """What the service printed."""
        return (self.state_dir / "logs/service.log").read_text(encoding="utf-8")


@dataclass
class Load:
    """GET requests at a steady rate, each on a connection of its own, from a thread; counts what came of them."""

    url: str
    per_s: float = 200
    done: int = 0
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0
    answers: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        wait_for(lambda: self.done >= 20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def until(self, count: int) -> None:
        """Wait until *count* requests are answered."""
        wait_for(lambda: self.done >= count, timeout_s=60)

    async def _run(self) -> None:
        started, sent = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while not self._stop.is_set():
                due = int((time.monotonic() - started) * self.per_s)
                for _ in range(due - sent):
                    group.create_task(self._one())
                sent = due
                await asyncio.sleep(0.005)

    async def _one(self) -> None:
        host, port = self.url.removeprefix("http://").split(":")
        at = time.monotonic()
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), 10)
            writer.write(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            if not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
                self.failures.append(f"answered {answer[:60]!r}")
            body = answer.rpartition(b"\r\n\r\n")[2].decode().split(" ")[0]
            self.answers[body] = self.answers.get(body, 0) + 1
        except (OSError, TimeoutError) as fault:
            self.failures.append(f"{type(fault).__name__}: {fault}")
        self.slowest_s = max(self.slowest_s, time.monotonic() - at)
        self.done += 1


def cmdline(pid: int) -> str:
    """The command line of *pid*, as `ps` prints it."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def as_tree(text: str) -> dict[str, Any]:
    """A JSON object."""
    tree = json.loads(text)
    assert isinstance(tree, dict)
    return tree
