"""Starts what is measured, each in a process of its own on one core: the chat, and its peers if they can be had."""

import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

SERVER_CORE, CLIENT_CORE = 0, 1
PEERS = Path(__file__).parent / "peers"
NODE_PACKAGES = ("ws@8", "socket.io@4")
_CPUCLOCK_SCHED = 2  # Linux, posix-timers.h: a process's clock is the complement of its pid, and this kind
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Absent(Exception):
    """A peer cannot be had here; says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it listens and what it costs."""

    name: str
    process: subprocess.Popen[bytes]
    port: int

    def cpu_s(self) -> float:
        """Processor time used so far, all threads, in seconds, to the nanosecond (clock_getcpuclockid(3))."""
        return time.clock_gettime(~self.process.pid << 3 | _CPUCLOCK_SCHED)

    def rss_bytes(self) -> int:
        """Resident memory in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def take_client_core() -> None:
    """Pin this process to the clients' core and allow it many descriptors."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {CLIENT_CORE})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _pinned() -> list[str]:
    """What comes before a command so that it runs on the servers' core."""
    return ["taskset", "-c", str(SERVER_CORE)] if (os.cpu_count() or 1) > 1 else []


def printed(script: str, *arguments: str) -> float:
    """The number that a Python program of `peers/` prints, run on the servers' core; raises `Absent` if it fails."""
    command = [*_pinned(), sys.executable, str(PEERS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PEERS, check=False)
    if done.returncode:
        raise Absent(f"{script} failed: {done.stderr[-300:]}")
    return float(done.stdout)


@contextlib.contextmanager
def _running(name: str, command: list[str], *, env: Mapping[str, str], port: int | None, cwd: Path) -> Iterator[Server]:
    log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
    process = subprocess.Popen([*_pinned(), *command], env=dict(env), stdout=subprocess.PIPE, stderr=log, cwd=cwd)
    try:
        if port is None:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                log.seek(0)
                raise Absent(f"{name} did not start: {log.read()[-400:].decode(errors='replace')}")
            port = int(line)
        yield Server(name, process, port)
    finally:
        process.kill()
        with process:  # waits for it and closes its output
            log.close()


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def chat(**settings: str) -> Iterator[Server]:
    """The chat server as people run it, but for rate limits (off) and bcrypt's cost (4, to get many accounts)."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="chat-bench-") as data:
        env = {
            **os.environ,
            "CHAT_DATA_DIR": data,
            "CHAT_BIND": f"127.0.0.1:{port}",
            "CHAT_BCRYPT_COST": "4",
            "CHAT_RATE_MESSAGES_PER_S": "0",
            "CHAT_RATE_COMMANDS_PER_S": "0",
            "CHAT_RATE_AUTH_PER_MIN": "0",
            "CHAT_ACCESS_TTL_S": "7200",
            **settings,
        }
        script = Path(sys.executable).with_name("chat")
        with _running("chat", [str(script), "serve"], env=env, port=port, cwd=Path(data)) as server:
            _wait_ready(server)
            yield server


def _wait_ready(server: Server) -> None:
    end_s = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/readyz", timeout=5):
                return
        except OSError:
            if time.monotonic() > end_s or server.process.poll() is not None:
                raise Absent("the chat did not get ready") from None
            time.sleep(0.05)


@contextlib.contextmanager
def python(name: str, script: str) -> Iterator[Server]:
    """A Python server of `peers/`, on uvloop."""
    with _running(name, [sys.executable, str(PEERS / script)], env=os.environ, port=None, cwd=PEERS) as server:
        yield server


@contextlib.contextmanager
def node(name: str, script: str) -> Iterator[Server]:
    """A Node server of `peers/`; raises `Absent` where Node or its packages cannot be had."""
    modules = _node_modules()
    env = {**os.environ, "NODE_PATH": str(modules)}
    with _running(name, ["node", str(PEERS / script)], env=env, port=None, cwd=PEERS) as server:
        yield server


def _node_modules() -> Path:
    if not (shutil.which("node") and shutil.which("npm")):
        raise Absent("node and npm are not installed; on Debian: sudo apt-get install nodejs npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    scratch = cache / "opskit-bench"
    modules = scratch / "node_modules"
    if not all((modules / package.partition("@")[0]).is_dir() for package in NODE_PACKAGES):
        scratch.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(scratch), *NODE_PACKAGES]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Absent(f"npm could not install {', '.join(NODE_PACKAGES)}: {done.stderr[-300:]}")
    return modules


def versions() -> dict[str, str]:
    """What was measured on: interpreter, kernel, processor and the peers' versions."""
    found = {"python": sys.version.split()[0], "kernel": os.uname().release, "processor": _processor()}
    with contextlib.suppress(Absent):
        for package in NODE_PACKAGES:
            name = package.partition("@")[0]
            found[name] = json.loads((_node_modules() / name / "package.json").read_text())["version"]
        found["node"] = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return os.uname().machine
