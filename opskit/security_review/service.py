"""The service under review as a stranger and as a user meets it: HTTP answers, handshakes, accounts."""

import ipaddress
import json
import secrets
import ssl
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

TIMEOUT_S = 10.0
SUBPROTOCOL = "chat.v1"


class NoAnswer(Exception):
    """The service could not be reached, or what a probe needs is not there: the probe has no result."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `body` is parsed if it is JSON, else text."""

    status: int
    headers: httpx.Headers
    text: str
    seconds: float

    @property
    def body(self) -> Any:
        """Parsed if it is JSON."""
        with suppress(ValueError):
            return json.loads(self.text)
        return self.text

    def get(self, name: str) -> Any:
        """A member of the JSON object; None if there is none."""
        body = self.body
        return body.get(name) if isinstance(body, dict) else None


@dataclass(frozen=True, slots=True)
class Met:
    """How a handshake ended: refused with `status`, or let in and then `said` (a frame's text, "" = silent and open).

    `closed` is the code with which the server closed it right after, 0 = it stayed open.
    """

    status: int
    said: str = ""
    closed: int = 0
    compressed: bool = False

    @property
    def accepted(self) -> bool:
        """True after a 101."""
        return self.status == 101


@dataclass(slots=True)
class Person:
    """A signed-in session of an account."""

    username: str
    password: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_s: float
    answer: Answer
    signed_in_at: float

    @property
    def stale(self) -> bool:
        """True if its access token is about to expire, or has."""
        return self.expires_in_s > 0 and time.monotonic() - self.signed_in_at > self.expires_in_s / 2


class Service:
    """HTTP and WebSocket at *url*. *settle_s*: how long a server gets to say or do something."""

    def __init__(self, url: str, *, settle_s: float = 3.0) -> None:
        self.url = url.rstrip("/")
        self.settle_s = settle_s
        parts = urlsplit(self.url)
        self.host, self.secure = parts.hostname or "", parts.scheme == "https"
        self.port = parts.port or (443 if self.secure else 80)
        self.certificate_fault = ""
        self._verify = ssl.create_default_context() if self.secure else _blind()
        self._client = self._new_client()

    @property
    def loopback(self) -> bool:
        """True if it is asked on this machine's loopback interface."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost" or self.host.endswith(".localhost")

    def reach(self) -> None:
        """Ask for `/` once; a certificate that does not verify is noted and passed. Raises `NoAnswer`."""
        try:
            self.call("GET", "/")
        except NoAnswer as fault:
            if not self.secure or "certificate" not in str(fault).lower():
                raise
            self.certificate_fault, self._verify = str(fault), _blind()
            self._client.close()
            self._client = self._new_client()
            self.call("GET", "/")

    def close(self) -> None:
        """Close the kept connections."""
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        """One request; *body* goes as JSON, *content* as it is. Raises `NoAnswer`."""
        sent = dict(headers or {})
        if body is not None:
            sent["Content-Type"], content = "application/json", json.dumps(body).encode()
        if token:
            sent["Authorization"] = f"Bearer {token}"
        began = time.perf_counter()
        try:
            answer = self._client.request(method, self.url + path, headers=sent, content=content)
        except (httpx.TransportError, httpx.InvalidURL) as fault:
            raise NoAnswer(f"{method} {path[:60]}: {str(fault) or type(fault).__name__}") from None
        return Answer(answer.status_code, answer.headers, answer.text, time.perf_counter() - began)

    def dial(self, *, token: str = "", by: str = "header", query: str = "", origin: str = "") -> ClientConnection:
        """An open socket; *by* says where the token goes. Raises `InvalidStatus` as the server answers, `NoAnswer`."""
        protocols = [SUBPROTOCOL, *([f"bearer.{token}"] if token and by == "subprotocol" else [])]
        headers = {"Authorization": f"Bearer {token}"} if token and by == "header" else {}
        more: dict[str, Any] = {"proxy": None} if self.loopback else {}
        if self.secure:
            more["ssl"] = self._verify
        try:
            connection = connect(
                "ws" + self.url.removeprefix("http") + "/chat" + (f"?{query}" if query else ""),
                subprotocols=[Subprotocol(name) for name in protocols],
                additional_headers=headers,
                origin=Origin(origin) if origin else None,
                open_timeout=TIMEOUT_S,
                close_timeout=1,
                user_agent_header="opskit security-review",
                **more,
            )
            opened: ClientConnection = connection.__enter__()  # the way in that every version of the library promises
            return opened
        except InvalidStatus:
            raise
        except (InvalidHandshake, OSError, TimeoutError, EOFError, ValueError) as fault:
            raise NoAnswer(f"GET /chat: {str(fault) or type(fault).__name__}") from None

    def meet(self, *, token: str = "", by: str = "header", query: str = "", origin: str = "") -> Met:
        """Try a handshake and see what comes of it; the socket is closed again."""
        try:
            connection = self.dial(token=token, by=by, query=query, origin=origin)
        except InvalidStatus as refusal:
            return Met(refusal.response.status_code)
        with closing(connection):
            packed = bool(connection.protocol.extensions)
            try:
                said = connection.recv(timeout=self.settle_s)
                return Met(101, str(said)[:200], compressed=packed)
            except TimeoutError:
                return Met(101, compressed=packed)
            except ConnectionClosed as closed:
                return Met(101, closed=closed.rcvd.code if closed.rcvd else 1006, compressed=packed)

    def register(self, username: str, password: str) -> Person:
        """A new account; raises `NoAnswer` with the status where that is not possible."""
        return self._signed_in("/auth/register", username, password, 201)

    def login(self, username: str, password: str) -> Person:
        """A session of an account; raises `NoAnswer` with the status where that is not possible."""
        return self._signed_in("/auth/login", username, password, 200)

    def _signed_in(self, path: str, username: str, password: str, wanted: int) -> Person:
        answer = self.call("POST", path, {"username": username, "password": password})
        token = answer.get("access_token")
        if answer.status != wanted or not isinstance(token, str):
            raise NoAnswer(f"POST {path} answered {answer.status}")
        lives_s = answer.get("expires_in")
        lives_s = float(lives_s) if isinstance(lives_s, int | float) else 0.0
        refresh = answer.get("refresh_token")
        return Person(username, password, token, str(refresh or ""), lives_s, answer, time.monotonic())

    def _new_client(self) -> httpx.Client:
        return httpx.Client(
            timeout=TIMEOUT_S,
            verify=self._verify,
            trust_env=not self.loopback,
            headers={"User-Agent": "opskit security-review"},
        )


def frames(connection: ClientConnection, *, within_s: float) -> list[dict[str, Any]]:
    """The JSON objects that come within that time; ends early when the server closes."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + within_s
    with suppress(TimeoutError, ConnectionClosed):
        while (left_s := deadline - time.monotonic()) > 0:
            with suppress(ValueError):
                frame = json.loads(connection.recv(timeout=left_s))
                found += [frame] if isinstance(frame, dict) else []
    return found


def asked(connection: ClientConnection, frame: Mapping[str, Any], *, within_s: float) -> list[dict[str, Any]]:
    """Send a command (an id is added) and return what comes until it is answered; [] if the server closes."""
    own = secrets.token_hex(4)
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + within_s
    with suppress(TimeoutError, ConnectionClosed, ValueError):
        connection.send(json.dumps({**frame, "id": own}))
        while (left_s := deadline - time.monotonic()) > 0:
            answer = json.loads(connection.recv(timeout=left_s))
            if isinstance(answer, dict):
                found.append(answer)
                if answer.get("re") == own:
                    break
    return found


def _blind() -> ssl.SSLContext:
    """Checks no certificate: for plain HTTP, and for a service whose certificate was found wanting already."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
