"""Many WebSocket clients in one thread, cheap enough to keep up with a server on another core.

It counts messages by a marker in the received bytes instead of parsing frames: a parser in Python would measure itself.
"""

import base64
import os
import select
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

OPCODE_TEXT, OPCODE_PING, OPCODE_PONG = 0x1, 0x9, 0xA
_READ_BYTES = 256 * 1024


class HandshakeRefused(Exception):
    """The server did not switch protocols; carries its status line."""


@dataclass(slots=True, eq=False)
class Client:
    """One connection: `seen` counts markers, `last_at_s` is when the newest bytes came (monotonic)."""

    sock: socket.socket
    seen: int = 0
    last_at_s: float = 0.0
    tail: bytes = b""
    first: bytes = field(default=b"", repr=False)

    def send_text(self, payload: bytes) -> None:
        """Send one text frame; blocks for as long as the socket's buffer is full."""
        self._send(OPCODE_TEXT, payload)

    def pong(self) -> None:
        """Send an unsolicited pong, which counts as a sign of life."""
        self._send(OPCODE_PONG, b"")

    def _send(self, opcode: int, payload: bytes) -> None:
        frame = masked_frame(opcode, payload)
        while frame:
            try:
                frame = frame[self.sock.send(frame) :]
            except BlockingIOError:
                select.select([], [self.sock], [], 5)


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """A client frame whose mask is zero, which RFC 6455 §5.3 allows and which costs no time to apply."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    else:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + payload


class Swarm:
    """Clients watched together."""

    def __init__(self, marker: bytes) -> None:
        self.marker = marker
        self.clients: list[Client] = []
        self.received = 0
        self._poll = select.epoll()
        self._by_fd: dict[int, Client] = {}
        # One buffer for every read: a fresh one of this size costs more (mmap, page faults) than the read itself.
        self._buffer = memoryview(bytearray(_READ_BYTES))

    def connect(self, port: int, path: str, *, headers: Iterable[tuple[str, str]] = ()) -> Client:
        """Open one connection; raises `HandshakeRefused`."""
        sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"{name}: {value}" for name, value in headers]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = sock.recv(65536)
            if not piece:
                break
            answer += piece
        head, _, rest = answer.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise HandshakeRefused(head.split(b"\r\n", 1)[0].decode(errors="replace"))
        sock.setblocking(False)
        client = Client(sock, first=rest)
        self.clients.append(client)
        self._by_fd[sock.fileno()] = client
        self._poll.register(sock, select.EPOLLIN)
        return client

    def pump(self, done: Callable[[], bool], *, deadline_s: float) -> bool:
        """Read until *done* or *deadline_s* has passed; returns whether it is done."""
        end_s = time.monotonic() + deadline_s
        while not done():
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return False
            for fd, _ in self._poll.poll(min(left_s, 0.2)):
                self._read(self._by_fd[fd])
        return True

    def settle(self, quiet_s: float = 0.3) -> None:
        """Read until nothing has come for *quiet_s*, then forget all counts."""
        while events := self._poll.poll(quiet_s):
            for fd, _ in events:
                self._read(self._by_fd[fd])
        self.reset()

    def reset(self) -> None:
        """Count from zero again."""
        self.received = 0
        for client in self.clients:
            client.seen, client.tail = 0, b""

    def close(self) -> None:
        """Drop every connection."""
        for client in self.clients:
            client.sock.close()
        self._poll.close()

    def _read(self, client: Client) -> None:
        try:
            size = client.sock.recv_into(self._buffer)
        except BlockingIOError:
            return
        if not size:
            self._poll.unregister(client.sock)
            raise ConnectionError("the server closed a benchmark connection")
        client.last_at_s = time.monotonic()
        text = client.tail + self._buffer[:size]
        found = text.count(self.marker)
        client.seen += found
        self.received += found
        client.tail = text[-(len(self.marker) - 1) :] if not text.endswith(self.marker) else b""
