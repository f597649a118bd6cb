"""A WebSocket as the checks speak it: ask and be answered, hear what the server sends, every wait with a deadline."""

import json
import time
from contextlib import suppress
from itertools import count
from typing import Any, Self

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from smoke.api import is_local
from smoke.expect import CheckFailed, same, shown

WAIT_S = 5.0
SUBPROTOCOL = "chat.v1"
Frame = dict[str, Any]


def chat_url(url: str, *, query: str = "") -> str:
    """The WebSocket address of the service at the HTTP address *url*."""
    return "ws" + url.rstrip("/").removeprefix("http") + "/chat" + (f"?{query}" if query else "")


def refused_handshake(
    url: str, *, token: str | None = None, origin: str | None = None, query: str = ""
) -> tuple[int, Any]:
    """Status and body with which the server refuses this upgrade; raises `CheckFailed` if it accepts it."""
    try:
        connection = _dial(url, token=token, origin=origin, query=query)
    except InvalidStatus as refusal:
        raw = bytes(refusal.response.body or b"")
        with suppress(ValueError):
            return refusal.response.status_code, json.loads(raw)
        return refusal.response.status_code, raw.decode("utf-8", "replace")
    connection.close()
    raise CheckFailed("GET /chat: expected the upgrade to be refused, saw it accepted")


def _dial(url: str, *, token: str | None, origin: str | None = None, query: str = "") -> ClientConnection:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if origin:
        headers["Origin"] = origin
    arguments: dict[str, Any] = {"proxy": None} if is_local(url) else {}
    try:
        connection = connect(
            chat_url(url, query=query),
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]  # a NewType of str
            additional_headers=headers,
            open_timeout=WAIT_S,
            close_timeout=1,
            **arguments,
        )
        return connection.__enter__()  # the only way in that every version of the library promises
    except InvalidStatus:
        raise
    except (InvalidHandshake, OSError, TimeoutError, EOFError) as error:
        raise CheckFailed(f"GET /chat: expected a WebSocket, saw {str(error) or type(error).__name__}") from None


class Socket:
    """One open connection to `/chat`; `hello` is its first frame."""

    def __init__(self, url: str, *, token: str | None = None, ticket: str | None = None) -> None:
        try:
            self._connection = _dial(url, token=token, query=f"ticket={ticket}" if ticket else "")
        except InvalidStatus as refusal:
            raise CheckFailed(f"GET /chat: expected 101, saw {refusal.response.status_code}") from None
        same("subprotocol chosen by the server", self._connection.subprotocol, SUBPROTOCOL)
        self._ids = count(1)
        self._waiting: list[Frame] = []
        self.hello = self._read(time.monotonic() + WAIT_S, "hello")
        same("type of the first frame", self.hello.get("type"), "hello")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def extensions(self) -> list[str]:
        """What was negotiated in the handshake."""
        return [extension.name for extension in self._connection.protocol.extensions]

    def close(self) -> None:
        """Close with 1000 and wait a moment for the answer."""
        self._connection.close()

    def send_raw(self, data: str | bytes) -> None:
        """Send one frame exactly as given."""
        try:
            self._connection.send(data)
        except ConnectionClosed as closed:
            raise CheckFailed(f"expected an open socket, saw it closed: {closed}") from None

    def send(self, kind: str, **fields: Any) -> str:
        """Send a command and return its id."""
        frame_id = f"c{next(self._ids)}"
        self.send_raw(json.dumps({"type": kind, "id": frame_id, **fields}))
        return frame_id

    def ask(self, kind: str, **fields: Any) -> Frame:
        """Send a command and return the frame that answers it, whatever its type."""
        frame_id = self.send(kind, **fields)
        return self._take(f"an answer to {kind!r}", lambda frame: frame.get("re") == frame_id)

    def acked(self, kind: str, **fields: Any) -> Frame:
        """Send a command and return its ack; raises `CheckFailed` with the error that came instead."""
        answer = self.ask(kind, **fields)
        if answer.get("type") != "ack":
            raise CheckFailed(f"{kind!r} on the WebSocket: expected an ack, saw {shown(answer)}")
        return answer

    def refused(self, code: str, kind: str, **fields: Any) -> Frame:
        """Send a command that must be answered by the error *code*."""
        answer = self.ask(kind, **fields)
        same(f"answer to {kind!r} on the WebSocket", (answer.get("type"), answer.get("code")), ("error", code))
        return answer

    def hear(self, kind: str, **fields: Any) -> Frame:
        """The next frame of type *kind* whose *fields* have these values; other frames are kept for later calls."""
        wanted = {"type": kind, **fields}
        return self._take(f"a frame with {shown(wanted)}", lambda frame: wanted.items() <= frame.items())

    def hears_none(self, kind: str, **fields: Any) -> None:
        """Raise `CheckFailed` if such a frame came before the answer to a ping sent now."""
        self.ask("ping")
        for frame in self._waiting:
            if {"type": kind, **fields}.items() <= frame.items():
                raise CheckFailed(f"expected no {kind!r} frame, saw {shown(frame)}")

    def _take(self, what: str, fits: Any) -> Frame:
        deadline_s = time.monotonic() + WAIT_S
        for place, frame in enumerate(self._waiting):
            if fits(frame):
                return self._waiting.pop(place)
        while not fits(frame := self._read(deadline_s, what)):
            self._waiting.append(frame)
        return frame

    def _read(self, deadline_s: float, what: str) -> Frame:
        try:
            frame = json.loads(self._connection.recv(timeout=max(0.0, deadline_s - time.monotonic())))
        except TimeoutError:
            came = ", ".join(str(frame.get("type")) for frame in self._waiting) or "nothing"
            raise CheckFailed(f"expected {what} within {WAIT_S:g} s, saw {came}") from None
        except ConnectionClosed as closed:
            raise CheckFailed(f"expected {what}, saw the socket closed: {closed}") from None
        except ValueError:
            raise CheckFailed(f"expected {what}, saw a frame that is not JSON") from None
        if not isinstance(frame, dict):
            raise CheckFailed(f"expected {what}, saw a frame that is no object: {shown(frame)}")
        return frame
