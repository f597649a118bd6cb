"""A real `chat serve` process on a free port with its own data directory, and clients that check all they are told."""

import contextlib
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests import forked
from tests.chat import contract

PASSWORD = "correct horse"
START_S, STOP_S, ANSWER_S = 60.0, 20.0, 20.0
QUIET = {
    "CHAT_BCRYPT_COST": "4",
    "CHAT_RATE_MESSAGES_PER_S": "0",
    "CHAT_RATE_COMMANDS_PER_S": "0",
    "CHAT_RATE_AUTH_PER_MIN": "0",
    "CHAT_DRAIN_S": "0",
}
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # for plain HTTP: httpx would read all authorities, 30 ms a client
_names = iter(range(1_000_000))


def nonce(prefix: str = "user") -> str:
    """A name nobody else in this run has."""
    return f"{prefix}-{os.getpid()}-{next(_names)}"


def free_port() -> int:
    """A port that was free a moment ago, and that the kernel gives to nobody else meanwhile."""
    while True:
        port = random.randint(15_000, 32_000)  # below those of outgoing connections
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Server:
    """One `chat serve` process."""

    port: int
    data_dir: Path
    settings: dict[str, str] = field(default_factory=dict)
    python: str = ""  # to start it anew with; unset: forked from a process that has imported everything
    trust: ssl.SSLContext | None = None  # in its certificate, if it has one
    process: forked.Process | None = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.trust else ''}://127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        return self.data_dir / f"server-{self.port}.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> Self:
        """Start and wait until it answers."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("CHAT_", "LISTEN_", "NOTIFY_"))}
        env |= QUIET | {"CHAT_BIND": f"127.0.0.1:{self.port}", "CHAT_DATA_DIR": str(self.data_dir)} | self.settings
        if self.python:
            with self.log_path.open("ab") as log:
                self.process = subprocess.Popen([self.python, "-m", "chat", "serve"], env=env, stderr=log, stdout=log)
        else:
            self.process = forked.chat_serve(env, log_path=self.log_path)
        wait_until(lambda: self._answers(), within_s=START_S, what=lambda: self.log()[-3000:])
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        if (code := self.process.poll()) is not None:
            raise AssertionError(f"chat serve ended with {code}: {self.log()[-3000:]}")
        return answers(f"{self.url}/healthz", trust=self.trust)

    def tell(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end, wait, and return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_S)

    def kill(self) -> None:
        """End it without a chance to say anything."""
        self.stop(signal.SIGKILL)

    def log(self) -> str:
        """Everything it logged."""
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def errors(self) -> list[str]:
        """Log lines that speak of a bug."""
        return [line for line in self.log().splitlines() if '"level": "error"' in line or "Traceback" in line]


@contextlib.contextmanager
def running(data_dir: Path, *, bugs: bool = False, **settings: str) -> Iterator[Server]:
    """A server with these settings (`CHAT_…` names); afterwards it has logged no bug, unless *bugs* are provoked."""
    server = Server(free_port(), data_dir, settings).start()
    try:
        yield server
    finally:
        server.stop(signal.SIGTERM)
    assert bugs or not server.errors(), server.errors()[:3]


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that need no settings of their own."""
    with running(tmp_path_factory.mktemp("chat")) as server:
        yield server


def answers(url: str, *, trust: ssl.SSLContext | None = None, within_s: float = 2.0) -> bool:
    """Whether a GET is answered 200."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, timeout=within_s, verify=trust or NO_TLS).status_code == 200
    return False


def wait_until(ready: Callable[[], bool], *, within_s: float, what: Callable[[], str] | str = "") -> None:
    """Poll until *ready*; fails with *what* after *within_s*."""
    deadline = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what if isinstance(what, str) else what()}")
        time.sleep(0.02)


@dataclass
class Account:
    """Someone signed in."""

    server: Server
    id: str
    username: str
    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


class Http:
    """An HTTP client; every answer is checked against the contract."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = httpx.AsyncClient(base_url=server.url, timeout=ANSWER_S, verify=server.trust or NO_TLS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        by: Account | None = None,
        headers: Mapping[str, Any] | None = None,
        **rest: Any,
    ) -> httpx.Response:
        """One call, on behalf of *by*."""
        sent: dict[str, Any] = (by.headers if by is not None else {}) | dict(headers or {})
        answer = await self.client.request(method, path, headers=sent, **rest)
        contract.check_answer(method, path, answer)
        return answer

    async def register(self, username: str | None = None) -> Account:
        """A new account."""
        name = username or nonce()
        answer = await self.call("POST", "/auth/register", json={"username": name, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        return self.account(answer)

    def account(self, answer: httpx.Response) -> Account:
        """The account that *answer* signed in."""
        body = answer.json()
        return Account(
            self.server, body["user"]["id"], body["user"]["username"], body["access_token"], body["refresh_token"]
        )

    async def create_room(self, by: Account, name: str | None = None) -> dict[str, Any]:
        """A new room of *by*."""
        answer = await self.call("POST", "/rooms", by=by, json={"name": name or nonce("room")})
        assert answer.status_code == 201, answer.text
        room: dict[str, Any] = answer.json()["room"]
        return room

    async def join(self, by: Account, room_id: str) -> None:
        """*by* becomes a member."""
        answer = await self.call("POST", f"/rooms/{room_id}/join", by=by)
        assert answer.status_code == 200, answer.text

    async def send(self, by: Account, room_id: str, content: str, **more: str) -> dict[str, Any]:
        """A message without a socket."""
        answer = await self.call("POST", f"/rooms/{room_id}/messages", by=by, json={"content": content, **more})
        assert answer.status_code in {200, 201}, answer.text
        message: dict[str, Any] = answer.json()["message"]
        return message


class Socket:
    """A WebSocket client; every frame is checked against the contract, and kept in `seen`."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.seen: list[dict[str, Any]] = []
        self._unread: list[dict[str, Any]] = []
        self._ids = iter(range(1_000_000))
        self.hello: dict[str, Any] = {}

    async def receive(self, *, within_s: float = ANSWER_S) -> dict[str, Any]:
        """The next frame."""
        import asyncio

        raw = await asyncio.wait_for(self.connection.recv(decode=True), within_s)
        frame: dict[str, Any] = json.loads(raw)
        contract.check_frame(frame)
        self.seen.append(frame)
        return frame

    async def expect(self, kind: str, *, within_s: float = ANSWER_S, **fields: Any) -> dict[str, Any]:
        """The next frame of this type with these fields; others before it stay for later."""
        for place, frame in enumerate(self._unread):
            if _fits(frame, kind, fields):
                return self._unread.pop(place)
        deadline = time.monotonic() + within_s
        while True:
            frame = await self.receive(within_s=max(0.01, deadline - time.monotonic()))
            if _fits(frame, kind, fields):
                return frame
            self._unread.append(frame)

    async def send(self, frame: dict[str, Any] | str | bytes) -> None:
        """Send a frame as it stands."""
        await self.connection.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def ask(self, type: str, **fields: Any) -> dict[str, Any]:  # noqa: A002 - the contract's word
        """Send a command and return its answer."""
        name = f"q{next(self._ids)}"
        await self.send({"type": type, "id": name, **fields})
        while True:
            for place, frame in enumerate(self._unread):
                if frame.get("re") == name:
                    return self._unread.pop(place)
            frame = await self.receive()
            self._unread.append(frame)

    async def say(self, room_id: str, content: str, **more: str) -> dict[str, Any]:
        """Send a message, and return its ack."""
        answer = await self.ask("message", room_id=room_id, content=content, **more)
        assert answer["type"] == "ack", answer
        return answer

    async def nothing(self, kind: str, *, fields: Mapping[str, Any] | None = None) -> None:
        """No such frame up to the answer to a ping."""
        assert (await self.ask("ping"))["type"] == "pong"
        found = [frame for frame in self._unread if _fits(frame, kind, fields or {})]
        assert not found, found

    async def closed(self, *, within_s: float = ANSWER_S) -> tuple[int, str]:
        """Read to the end; the close code and reason."""
        try:
            while True:
                await self.receive(within_s=within_s)
        except ConnectionClosed:
            return self.connection.close_code or 1006, self.connection.close_reason or ""

    async def close(self) -> None:
        """Close from this side."""
        await self.connection.close()


def _fits(frame: dict[str, Any], kind: str, fields: Mapping[str, Any]) -> bool:
    return frame["type"] == kind and all(frame.get(key) == value for key, value in fields.items())


@contextlib.asynccontextmanager
async def connected(by: Account, *, server: Server | None = None, **options: Any) -> AsyncIterator[Socket]:
    """A WebSocket of *by*, its hello read."""
    socket_ = await open_socket(by, server=server, **options)
    try:
        yield socket_
    finally:
        await socket_.close()


async def open_socket(by: Account, *, server: Server | None = None, **options: Any) -> Socket:
    """A WebSocket of *by*, its hello read; the caller closes it."""
    target = (server or by.server).url.replace("http", "ws", 1) + "/chat"
    options.setdefault("subprotocols", [Subprotocol("chat.v1")])
    connection = await connect(
        target, additional_headers=by.headers, proxy=None, max_size=2**22, open_timeout=ANSWER_S, **options
    )
    opened = Socket(connection)
    opened.hello = await opened.receive()
    assert opened.hello["type"] == "hello", opened.hello
    return opened
