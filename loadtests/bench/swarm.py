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

OPCODE_TEXT, OPCODE_PONG = 0x1, 0xA
PING = b"\x89\x00"  # a whole frame; no JSON ends so
ALIVE_EVERY_S = 12.0  # a sign of life that often too, for pings in the midst of what is read; they come every 20 s
_READ_BYTES = 256 * 1024

Headers = Iterable[tuple[str, str]]


class HandshakeRefused(Exception):
    """The server did not switch protocols; carries its status line."""


@dataclass(slots=True, eq=False)
class Client:
    """One connection: `seen` counts markers, `last_at_s` is when the newest bytes came (monotonic)."""

    sock: socket.socket
    greeting: bytes = b""
    seen: int = 0
    last_at_s: float = 0.0
    alive_at_s: float = field(default_factory=time.monotonic)  # the last sign of life
    open: bool = False  # the server has switched protocols
    head: bytes = b""  # of its answer, as far as it has come
    first: bytes = field(default=b"", repr=False)  # what came first after it
    tail: bytes = b""  # the last bytes, where half a marker may stand
    last: bytes = b""  # the last bytes, where a close frame may stand

    def send_text(self, payload: bytes) -> None:
        """Send one text frame; blocks for as long as the socket's buffer is full."""
        self._send(OPCODE_TEXT, payload)

    def pong(self) -> None:
        """Give a sign of life."""
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
    """Clients watched together, each giving signs of life as it is read."""

    def __init__(self, marker: bytes) -> None:
        self.marker = marker
        self.clients: list[Client] = []
        self.received = 0
        self._said_at_s = 0.0  # when anything but a ping came last (monotonic)
        self._poll = select.epoll()
        self._by_fd: dict[int, Client] = {}
        # One buffer for every read: a fresh one of this size costs more (mmap, page faults) than the read itself.
        self._buffer = memoryview(bytearray(_READ_BYTES))

    def connect(self, port: int, path: str, *, headers: Headers = ()) -> Client:
        """Open one connection, reading what comes on the others meanwhile; raises `HandshakeRefused`."""
        return self.connect_all(port, path, [headers])[0]

    def connect_all(
        self, port: int, path: str, each: Iterable[Headers], *, greeting: bytes = b"", at_once: int = 32
    ) -> list[Client]:
        """Open a connection for *each* set of headers, *at_once* under way together; raises `HandshakeRefused`.

        Each says *greeting*, if there is one, as soon as it is open.
        """
        opened: list[Client] = []
        waiting: list[Client] = []
        for headers in each:
            waiting.append(self._dial(port, path, headers, greeting))
            opened.append(waiting[-1])
            if len(waiting) >= at_once:
                self._until_some_are_open(waiting)
        while waiting:
            self._until_some_are_open(waiting)
        return opened

    def _dial(self, port: int, path: str, headers: Headers, greeting: bytes) -> Client:
        sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        lines += [f"{name}: {value}" for name, value in headers]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        sock.setblocking(False)
        client = Client(sock, greeting)
        self.clients.append(client)
        self._by_fd[sock.fileno()] = client
        self._poll.register(sock, select.EPOLLIN)
        return client

    def _until_some_are_open(self, waiting: list[Client]) -> None:
        if not self.pump(lambda: any(client.open for client in waiting), deadline_s=30):
            raise HandshakeRefused("no answer within 30 s")
        waiting[:] = [client for client in waiting if not client.open]

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
        """Read until nothing but pings has come for *quiet_s*, then forget all counts."""
        self._said_at_s = time.monotonic()
        self.pump(lambda: time.monotonic() - self._said_at_s > quiet_s, deadline_s=60)
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
            raise ConnectionError(f"the server closed a benchmark connection{_reason(client.last)}")
        if client.open:
            self._take(client, self._buffer[:size])
        elif rest := self._opened(client, bytes(self._buffer[:size])):
            self._take(client, rest)

    def _opened(self, client: Client, piece: bytes) -> bytes:
        """Take the server's answer to the handshake; what follows it."""
        client.head += piece
        head, end, rest = client.head.partition(b"\r\n\r\n")
        status = head.split(b"\r\n", 1)[0]
        if end and b" 101 " not in status:
            raise HandshakeRefused(status.decode(errors="replace"))
        client.open = bool(end)
        if end and client.greeting:
            client.send_text(client.greeting)
        return rest

    def _take(self, client: Client, piece: bytes | memoryview) -> None:
        client.last_at_s = time.monotonic()
        if len(piece) > len(PING):
            self._said_at_s = client.last_at_s
        if not client.first:
            client.first = bytes(piece)
        text = client.tail + piece
        found = text.count(self.marker)
        client.seen += found
        self.received += found
        client.tail = text[-(len(self.marker) - 1) :] if not text.endswith(self.marker) else b""
        client.last = bytes(piece[-128:])
        if client.last.endswith(PING) or client.last_at_s - client.alive_at_s > ALIVE_EVERY_S:
            client.alive_at_s = client.last_at_s
            client.pong()


def _reason(last: bytes) -> str:
    """The close code at the end of what was received (RFC 6455 section 5.5.1), if there is one."""
    _, frame, rest = last.rpartition(b"\x88")
    return f": {int.from_bytes(rest[1:3], 'big')} {rest[3:].decode(errors='replace')}" if frame and rest[1:] else ""
