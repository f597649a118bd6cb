"""A server process: what it is given, what it says, and how it ends."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import forked
from tests.chat.server import (
    NO_TLS,
    QUIET,
    Http,
    Server,
    answers,
    connected,
    free_port,
    open_socket,
    running,
    wait_until,
)
from tests.conftest import lacking

CLEAN_EXIT_S = 6.0  # on a loaded machine; it takes about a second


def failed_start(data_dir: Path, *wrapper: str, **env: str) -> tuple[int, str]:
    """Start a server that cannot; its exit code and what it said on stderr that is no log line."""
    settings = {k: v for k, v in os.environ.items() if not k.startswith("CHAT_")}
    settings |= QUIET | {"CHAT_BIND": f"127.0.0.1:{free_port()}", "CHAT_DATA_DIR": str(data_dir)} | env
    if wrapper:
        command = [*wrapper, sys.executable, "-m", "chat", "serve"]
        ended = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60)
        code, said = ended.returncode, ended.stderr
    else:
        log_path = data_dir / "failed.log"
        code = forked.chat_serve(settings, log_path=log_path).wait(60)
        said = log_path.read_text()
    return code, "\n".join(line for line in said.splitlines() if not line.startswith("{"))


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = failed_start(tmp_path, CHAT_BIND=f"127.0.0.1:{port}")
    assert (code, said) == (1, f"chat serve: cannot listen on 127.0.0.1:{port}: Address already in use")


def test_a_data_directory_that_is_a_file_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("")
    code, said = failed_start(tmp_path, CHAT_DATA_DIR=str(tmp_path / "notes"))
    assert (code, said) == (1, f"chat serve: {tmp_path / 'notes' / 'keys.json'}: Not a directory")


def test_wrong_settings_are_all_named_with_exit_code_2(tmp_path: Path) -> None:
    code, said = failed_start(tmp_path, CHAT_BCRYPT_COST="99", CHAT_REGISTRATION="maybe")
    assert code == 2
    assert "CHAT_BCRYPT_COST" in said
    assert "CHAT_REGISTRATION" in said
    assert "Traceback" not in said


def test_a_data_directory_that_cannot_be_written_is_one_sentence() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.getuid() == 0 else ("env",)
        if subprocess.run([*nobody, sys.executable, "-c", "import chat"], check=False, capture_output=True).returncode:
            lacking("an unprivileged user cannot run this Python", install="a Python outside /root")
        code, said = failed_start(Path(folder), *nobody)
        Path(folder).chmod(0o755)
    assert code == 1
    assert "ermission denied" in said or "readonly" in said or "unable to open" in said, said
    assert "Traceback" not in said


def test_a_corrupt_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "chat.db").write_bytes(b"this is not a database" * 1000)
    code, said = failed_start(tmp_path)
    assert code == 1
    assert "chat.db" in said
    assert "Traceback" not in said


def test_a_schema_that_is_too_new_is_one_sentence(tmp_path: Path) -> None:
    with running(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "chat.db") as database:
        database.execute("UPDATE meta SET value = '9999' WHERE key IN ('schema', 'oldest_compatible')")
    database.close()
    code, said = failed_start(tmp_path)
    assert code == 1
    assert "9999" in said
    assert "Traceback" not in said


async def test_a_restart_closes_sockets_1012_and_ends_cleanly(tmp_path: Path) -> None:
    with running(tmp_path, CHAT_DRAIN_S="1") as server:
        async with Http(server) as http:
            ann, bob = await http.register(), await http.register()
            sockets = [await open_socket(ann), await open_socket(bob), await open_socket(ann)]
            started = time.monotonic()
            server.tell(signal.SIGTERM)
            ends = await asyncio.gather(*(s.closed() for s in sockets))
            assert server.process is not None
            assert await asyncio.to_thread(server.process.wait, 10) == 0
            took_s = time.monotonic() - started
    for (code, reason), peer in zip(ends, sockets, strict=True):
        assert code == 1012
        after_ms = next(frame for frame in peer.seen if frame["type"] == "going_away")["reconnect_after_ms"]
        assert reason == f"reconnect_after_ms={after_ms}"
    assert took_s < 1 + CLEAN_EXIT_S


async def test_who_comes_while_it_drains_is_refused_at_once(tmp_path: Path) -> None:
    with running(tmp_path, CHAT_DRAIN_S="3") as server:
        async with Http(server) as http:
            ann = await http.register()
            sockets = [await open_socket(ann) for _ in range(2)]  # the second is closed half-way through
            server.tell(signal.SIGTERM)
            wait_until(lambda: "serve.draining" in server.log(), within_s=10)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.wait_for(asyncio.open_connection("127.0.0.1", server.port), 1)
            assert server.running
            assert (await http.call("GET", "/readyz")).json()["failing"] == ["draining"]  # kept alive
            server.tell(signal.SIGTERM)  # hurry
            await asyncio.gather(*(socket.closed() for socket in sockets))


async def test_idle_and_unread_connections_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        async with Http(server) as http:
            ann = await http.register()  # a kept-alive connection, idle from here on
            deaf = await open_socket(ann, ping_interval=None)
            deaf.connection.transport.pause_reading()
            started = time.monotonic()
            assert await asyncio.to_thread(server.stop) == 0
            assert time.monotonic() - started < 2 + CLEAN_EXIT_S


async def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    with running(tmp_path, CHAT_DRAIN_S="5") as server:
        body = b'{"username":"ann","password":"correct horse"}'
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = "POST /auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")  # it has read the head
        server.tell(signal.SIGTERM)
        wait_until(lambda: "serve.draining" in server.log(), within_s=10)
        writer.write(body)
        answer = await reader.read()
        assert b" 201 " in answer.partition(b"\r\n")[0]
        assert b"connection: close" in answer.lower()
        writer.close()
        assert await asyncio.to_thread(server.stop) == 0


# The sockets a supervisor hands over (LISTEN_FDS), and the signals that steer who accepts.


@dataclass
class Handed:
    """Server processes that share a public socket; each has a private one of its own."""

    public: socket.socket
    data_dir: Path
    processes: list[subprocess.Popen[bytes]]

    def start(self, **settings: str) -> "Server":
        """Start one more, and wait for READY=1."""
        notify_path = self.data_dir / f"notify-{len(self.processes)}"
        with (
            socket.create_server(("127.0.0.1", 0)) as private,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
        ):
            channel.bind(str(notify_path))
            channel.settimeout(60)
            env = {k: v for k, v in os.environ.items() if not k.startswith("CHAT_")} | QUIET | settings
            env |= {"CHAT_DATA_DIR": str(self.data_dir), "NOTIFY_SOCKET": str(notify_path)}
            env |= {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "public:private"}
            process = spawn(env, [self.public, private], self.data_dir)
            self.processes.append(process)
            assert channel.recv(100) == b"READY=1"
            return Server(private.getsockname()[1], self.data_dir, process=process)

    @property
    def public_server(self) -> Server:
        return Server(self.public.getsockname()[1], self.data_dir)


def spawn(env: dict[str, str], passed: list[socket.socket], data_dir: Path) -> subprocess.Popen[bytes]:
    """As a supervisor does it: the sockets become descriptors 3, 4, … of the child."""
    script = (
        "import os, sys\n"
        f"held = [os.dup(n) for n in {[s.fileno() for s in passed]}]\n"
        "[(os.dup2(n, 3 + i), os.set_inheritable(3 + i, True)) for i, n in enumerate(held)]\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'chat', 'serve'])\n"
    )
    with (data_dir / "handed.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", script], env=env, pass_fds=[s.fileno() for s in passed], stderr=log
        )


@pytest.fixture
def handed(tmp_path: Path) -> Iterator[Handed]:
    with _handed(tmp_path) as ready:
        yield ready


@contextmanager
def _handed(data_dir: Path) -> Iterator[Handed]:
    with socket.create_server(("127.0.0.1", 0)) as public:
        handed = Handed(public, data_dir, [])
        try:
            yield handed
        finally:
            for process in handed.processes:
                if process.poll() is None:
                    process.terminate()
                    assert process.wait(20) == 0


def _accepts(server: Server) -> bool:
    return answers(f"{server.url}/healthz", within_s=0.3)


def test_the_public_socket_is_accepted_on_from_sigusr1_to_sigusr2_and_again(handed: Handed) -> None:
    server = handed.start()
    assert answers(f"{server.url}/readyz", within_s=10)
    assert not _accepts(handed.public_server)
    for _ in range(2):
        server.tell(signal.SIGUSR1)
        wait_until(lambda: _accepts(handed.public_server), within_s=10)
        server.tell(signal.SIGUSR2)
        wait_until(lambda: not _accepts(handed.public_server), within_s=10)
        assert answers(f"{server.url}/readyz", within_s=10)


async def test_a_hand_over_refuses_nobody_and_closes_sockets_1012(handed: Handed) -> None:
    old, new = handed.start(CHAT_DRAIN_S="0.5"), handed.start()
    old.tell(signal.SIGUSR1)
    public = handed.public_server
    async with Http(public) as http:
        ann = await http.register()
        peer = await open_socket(ann)
        failures: list[str] = []
        stop = asyncio.Event()
        knocking = asyncio.create_task(_knock(public, failures, stop))
        new.tell(signal.SIGUSR1)
        old.tell(signal.SIGUSR2)
        code, _ = await peer.closed()
        assert code == 1012
        kept_alive = await http.call("GET", "/me", by=ann)  # this connection is the old process's
        assert kept_alive.headers["connection"] == "close"
        async with connected(ann) as again:
            assert again.hello["user"]["id"] == ann.id
        assert await asyncio.to_thread(old.stop) == 0
        stop.set()
        assert await knocking > 1
    assert not failures


async def _knock(server: Server, failures: list[str], stop: asyncio.Event) -> int:
    """Fresh connections, one after the other; how many were answered."""
    answered = 0
    while not stop.is_set():
        try:
            async with httpx.AsyncClient(verify=NO_TLS) as client:
                answer = await client.get(f"{server.url}/version", timeout=10)
            answered += answer.status_code == 200
        except httpx.HTTPError as fault:
            failures.append(repr(fault))
    return answered


EXITING = """
import sys
from chat.cli import main
from chat.storage import messages

async def leave(tx, drafts):
    sys.exit(70)

object.__setattr__(messages.append, "apply", leave)
sys.argv = ["chat", "serve"]
main()
"""


async def test_an_exit_in_the_midst_of_a_transaction_ends_the_process(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{EXITING}")
    python.chmod(0o700)
    server = await asyncio.to_thread(Server(free_port(), tmp_path / "data", python=str(python)).start)
    assert server.process is not None
    try:
        async with Http(server) as http:
            ann = await http.register()
            room = await http.create_room(ann)
        async with httpx.AsyncClient(verify=NO_TLS, headers=ann.headers) as last:
            with suppress(httpx.HTTPError):  # whatever a process says that is about to be gone
                await last.post(f"{server.url}/rooms/{room['id']}/messages", json={"content": "the last"})
        assert await asyncio.to_thread(server.process.wait, 20) == 70
    finally:
        server.kill()


def test_without_a_private_socket_the_public_is_served_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as public:
        env = {k: v for k, v in os.environ.items() if not k.startswith("CHAT_")} | QUIET
        process = spawn(env | {"CHAT_DATA_DIR": str(tmp_path), "LISTEN_FDS": "1"}, [public], tmp_path)
        try:
            server = Server(public.getsockname()[1], tmp_path)
            wait_until(lambda: _accepts(server), within_s=60)
        finally:
            process.terminate()
            assert process.wait(20) == 0


def other_python(version: str) -> str:
    """A Python of *version* that has what the server needs."""
    variable = f"CHAT_PYTHON_{version.replace('.', '_')}"
    if not os.environ.get(variable):
        # not `lacking`: the product needs one Python, further ones are tried where they are found
        pytest.skip(f"no Python {version} to try; `.ci/run` makes one of a Python {version} that it finds")
    return os.environ[variable]


@pytest.mark.parametrize("version", ["3.12", "3.13"])
async def test_it_ends_cleanly_with_open_sockets_on_other_pythons(version: str, tmp_path: Path) -> None:
    server = Server(free_port(), tmp_path, {"CHAT_DRAIN_S": "0.5"}, python=other_python(version)).start()
    async with Http(server) as http:
        ann = await http.register()
        sockets = [await open_socket(ann) for _ in range(3)]
        started = time.monotonic()
        server.tell(signal.SIGTERM)
        assert {(await s.closed())[0] for s in sockets} == {1012}
        assert await asyncio.to_thread(server.stop) == 0
        assert time.monotonic() - started < 0.5 + CLEAN_EXIT_S
    assert not server.errors()
