"""What arrives on a WebSocket: read in bytes, bounded, and never trusted; stands where Hypercorn's reader would."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage

MAX_FRAME_BYTES = 64 * 1024
MAX_WAITING_FRAMES = 4_096
MAX_WAITING_BYTES = 1024 * 1024

NOT_TEXT, NOT_UTF8, TOO_BIG, PROTOCOL, FLOODING = 1003, 1007, 1009, 4000, 4100


class Inbox:
    """Messages of one connection that wait to be handled; bounded, and deaf once the connection is to be closed."""

    __slots__ = ("_waiter", "_waiting", "_waiting_bytes", "deaf", "heard_s", "is_peer_closed", "on_fault", "on_ping")

    def __init__(self) -> None:
        self.on_fault: Callable[[int, str], None] = lambda _code, _reason: None
        self.on_ping: Callable[[bytes], None] = lambda _payload: None
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self.is_peer_closed = False
        self.deaf = False  # what still comes is read and thrown away
        self.heard_s = time.monotonic()  # when anything at all last came

    async def next(self) -> bytes | None:
        """The next message; None when the connection is closed or is to be closed."""
        while not self._waiting:
            if self.deaf or self.is_peer_closed:
                return None
            await self._news()
        if self.deaf:
            return None
        message = self._waiting.popleft()
        self._waiting_bytes -= len(message)
        return message

    def put(self, message: bytes) -> None:
        """A whole text message."""
        if self.deaf:
            return
        if len(message) > MAX_FRAME_BYTES:
            self.refuse(TOO_BIG, f"a frame may have {MAX_FRAME_BYTES} bytes")
        elif len(self._waiting) >= MAX_WAITING_FRAMES or self._waiting_bytes + len(message) > MAX_WAITING_BYTES:
            self.refuse(FLOODING, "too many frames at once")
        else:
            self._waiting.append(message)
            self._waiting_bytes += len(message)
            self._wake()

    def refuse(self, code: int, reason: str) -> None:
        """The peer broke a rule: close with *code* and hear no more."""
        if not self.deaf:
            self.stop()
            self.on_fault(code, reason)

    def ping(self, payload: bytes) -> None:
        """The peer wants a pong."""
        if not self.deaf:
            self.on_ping(payload)

    def stop(self) -> None:
        """Hear no more, forget what waits."""
        self.deaf = True
        self._waiting.clear()
        self._wake()

    def peer_closed(self) -> None:
        """The peer's close frame, or the end of its connection."""
        self.is_peer_closed = True
        self._wake()

    async def until_peer_closed(self) -> None:
        """Wait for the peer's side to be closed; not while another waits in `next`."""
        while not self.is_peer_closed:
            await self._news()

    async def _news(self) -> None:
        # A future for as long as one waits: an Event would take 0.8 KiB of every connection.
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class GuardedConnection:
    """Stands in for wsproto's `Connection` inside Hypercorn's `WSStream`: events go to the inbox, none come out.

    Counts bytes (not characters) of a message over all its fragments, and has no extension.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._protocol = Connection(ConnectionType.SERVER)
        self._pieces: list[str] = []
        self._bytes = 0

    @property
    def state(self) -> ConnectionState:
        """As wsproto's."""
        return self._protocol.state

    def receive_data(self, data: bytes | None) -> None:
        """Read what came over the wire."""
        if self.state is ConnectionState.CLOSED:
            return
        self._inbox.heard_s = time.monotonic()
        self._protocol.receive_data(data)
        for event in self._protocol.events():
            self._read(event)

    def events(self) -> Iterator[Event]:
        """Nothing: the inbox has it."""
        return iter(())

    def send(self, event: Event) -> bytes:
        """The bytes of *event*, as wsproto makes them; only closing goes this way."""
        return self._protocol.send(event)

    def _read(self, event: Event) -> None:
        match event:
            case TextMessage():
                self._text(event)
            case BytesMessage():
                self._inbox.refuse(NOT_TEXT, "frames are text")
            case Ping():
                self._inbox.ping(bytes(event.payload))
            case CloseConnection() if self.state is ConnectionState.OPEN:  # wsproto's way to report a broken frame
                if event.code == NOT_UTF8:
                    self._inbox.refuse(NOT_UTF8, "not UTF-8")
                else:  # its word would be 1002 (RFC 6455 section 7.4.1), the contract's is 4000
                    self._inbox.refuse(PROTOCOL, f"broken frame: {event.reason}")
            case CloseConnection():
                self._inbox.peer_closed()

    def _text(self, event: TextMessage) -> None:
        if self._inbox.deaf:
            return
        piece = event.data
        self._bytes += len(piece) if piece.isascii() else len(piece.encode())
        if self._bytes > MAX_FRAME_BYTES:
            self._pieces.clear()
            self._inbox.refuse(TOO_BIG, f"a frame may have {MAX_FRAME_BYTES} bytes")
            return
        if piece:
            self._pieces.append(piece)
        if event.message_finished:
            message, self._pieces, self._bytes = "".join(self._pieces).encode(), [], 0
            self._inbox.put(message)
