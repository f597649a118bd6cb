"""One WebSocket of a load test: what it sends and hears, each measured from the moment it was meant to happen.

Open loop: a message is due when the schedule says, and its times count from then, so that a server (or this client)
that falls behind cannot hide it by slowing the sender down. Made for gevent: every wait yields to the other users.
"""

import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from socket import SHUT_RDWR
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

HEARD_BY = 10  # of a message's listeners, about this many record when they heard it
OPEN_WITHIN_S = 30.0

Record = Callable[[str, float, str | None], None]  # name, milliseconds, what went wrong


@dataclass(slots=True, kw_only=True)
class Line:
    """A connection that speaks in one room; `record` takes what it measures."""

    url: str
    token: str
    room_id: str
    listeners: int
    record: Record
    rev: int = 0
    epoch: str = ""
    closed: str = ""
    _connection: ClientConnection | None = None
    _due: dict[str, float] = field(default_factory=dict)
    _sent: int = 0
    _resuming_since_s: float | None = None

    def open(self) -> None:
        """Connect and take `hello`, recorded as `connect`; raises `OSError` or `ConnectionError` if it is refused."""
        started_s = time.monotonic()
        try:
            self._connection = connect(
                "ws" + self.url.removeprefix("http") + "/chat",
                subprotocols=["chat.v1"],  # type: ignore[list-item]  # a NewType of str
                additional_headers={"Authorization": f"Bearer {self.token}"},
                compression=None,
                open_timeout=OPEN_WITHIN_S,
                close_timeout=1,
                ping_interval=None,
                proxy=None,
            ).__enter__()  # the only way in that every version of the library promises
            hello = json.loads(self._connection.recv(timeout=OPEN_WITHIN_S))
        except (InvalidHandshake, ConnectionClosed, OSError, EOFError) as fault:
            self.record("connect", _ms_since(started_s), f"{type(fault).__name__}: {fault}")
            raise ConnectionError(str(fault)) from fault
        self.record("connect", _ms_since(started_s), None)
        before, self.epoch = self.rev, hello["epoch"]
        if before:
            self._resuming_since_s = started_s
            self._send({"type": "resume", "id": "resume", "epoch": self.epoch, "rooms": {self.room_id: before}})
        else:
            self.rev = next((room["rev"] for room in hello["rooms"] if room["room_id"] == self.room_id), 0)

    def say(self, content: str, *, due_s: float) -> None:
        """Send a message that was due at *due_s* (wall clock, seconds); its ack is recorded when `hear` gets it."""
        self._sent += 1
        frame_id = f"c{self._sent}"
        self._due[frame_id] = due_s
        self._send({"type": "message", "id": frame_id, "room_id": self.room_id, "content": f"{due_s:.6f} {content}"})

    def hear(self) -> None:
        """Take what the server sends until the connection is lost; `closed` then says how."""
        if self._connection is None:
            return
        try:
            for raw in self._connection:
                self._take(json.loads(raw))
        except (ConnectionClosed, OSError) as fault:
            self.closed = str(fault)

    def cut(self) -> None:
        """Drop the connection as a lost network does, without a close frame."""
        connection, self._connection = self._connection, None
        self._due.clear()
        if connection is not None:
            with suppress(
                OSError
            ):  # not closed here: its reader may be waiting on the descriptor, and closes it itself
                connection.socket.shutdown(SHUT_RDWR)

    def close(self) -> None:
        """Close politely; a message that was never acknowledged is recorded as a failure."""
        for due_s in self._due.values():
            if time.time() - due_s > 1.0:
                self.record("ack", (time.time() - due_s) * 1000, "no ack")
        self._due.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _send(self, frame: dict[str, Any]) -> None:
        if self._connection is None:
            raise ConnectionError("this line is not open")
        try:
            self._connection.send(json.dumps(frame))
        except ConnectionClosed as closed:
            raise ConnectionError(str(closed)) from closed

    def _take(self, frame: dict[str, Any]) -> None:
        kind, due_s = frame["type"], self._due.pop(frame.get("re") or "", None)
        if due_s is not None:
            self.record("ack", (time.time() - due_s) * 1000, None if kind == "ack" else str(frame.get("code")))
        elif kind == "message":
            self.rev = max(self.rev, frame["rev"])
            if self._resuming_since_s is None and random.random() * self.listeners < HEARD_BY:
                self.record(
                    "send→hear", (time.time() - float(frame["message"]["content"].split(" ", 1)[0])) * 1000, None
                )
        elif frame.get("re") == "resume":
            self.record(
                "resume", _ms_since(self._resuming_since_s or 0), None if kind == "ack" else str(frame.get("code"))
            )
            self._resuming_since_s = None
        elif kind == "reset":
            self.rev = frame["head_rev"] or 0


def _ms_since(started_s: float) -> float:
    return (time.monotonic() - started_s) * 1000
