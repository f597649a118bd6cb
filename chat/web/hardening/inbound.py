"""What arrives on a WebSocket: read in bytes, bounded, and never trusted; stands where Hypercorn's reader would."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator

from wsproto.events import CloseConnection, Event
from wsproto.utilities import LocalProtocolError

from chat.fanout.frames import CLOSE, PING, TEXT, control_frame
from chat.web.hardening.frames import (
    BINARY,
    CONTINUATION,
    CONTROL,
    FIN,
    MAX_CONTROL_BYTES,
    OPCODE,
    FrameReader,
    fault_of_close,
)

MAX_FRAME_BYTES = 64 * 1024
MAX_WAITING_FRAMES = 4_096
MAX_WAITING_BYTES = 1024 * 1024

NOT_TEXT, NOT_UTF8, TOO_BIG, PROTOCOL, FLOODING = 1003, 1007, 1009, 4000, 4100
TOO_LONG = (TOO_BIG, f"a frame may have {MAX_FRAME_BYTES} bytes")


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
            self.refuse(*TOO_LONG)
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
    """Stands in for wsproto's `Connection` inside Hypercorn's `WSStream`: messages go to the inbox, no event comes out.

    Counts bytes (not characters) of a message over all its fragments.
    """

    __slots__ = ("_frames", "_inbox", "_message", "_said_goodbye")

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._frames = FrameReader(MAX_FRAME_BYTES)
        self._message: bytearray | None = None  # the fragments so far of one that is not whole
        self._said_goodbye = False

    def receive_data(self, data: bytes) -> None:
        """Read what came over the wire."""
        inbox, frames = self._inbox, self._frames
        inbox.heard_s = time.monotonic()
        for first, payload in frames.read(data):
            if inbox.is_peer_closed:
                return
            if first == TEXT and payload is not None and self._message is None:
                self._text(payload)
            elif first == CLOSE:
                self._closed(payload or b"")
            elif first == PING:
                inbox.ping(payload or b"")
            elif not first & CONTROL:
                self._fragment(first, payload)
        if frames.fault is not None and not inbox.is_peer_closed:
            self._broken(frames.fault)

    def events(self) -> Iterator[Event]:
        """Nothing: the inbox has it."""
        return iter(())

    def send(self, event: Event) -> bytes:
        """The bytes of a close; nothing else goes this way. A second one raises `LocalProtocolError`, as wsproto's."""
        if not isinstance(event, CloseConnection) or self._said_goodbye:
            raise LocalProtocolError(f"{event} cannot be sent")
        self._said_goodbye = True
        reason = (event.reason or "").encode()[: MAX_CONTROL_BYTES - 2].decode(errors="ignore").encode()
        return control_frame(CLOSE, event.code.to_bytes(2, "big") + reason)

    def _closed(self, payload: bytes) -> None:
        if fault := fault_of_close(payload):
            self._broken(fault)
        elif not _is_utf8(payload[2:]):
            self._inbox.refuse(NOT_UTF8, "not UTF-8")
        else:
            self._inbox.peer_closed()

    def _fragment(self, first: int, payload: bytes | None) -> None:
        """A data frame that is not a whole text: the beginning, a further piece, binary, or too long."""
        opcode, message = first & OPCODE, self._message
        if (opcode == CONTINUATION) is (message is None):
            self._broken("a message before it is not whole" if message is not None else "there is nothing to continue")
        elif opcode == BINARY:
            self._inbox.refuse(NOT_TEXT, "frames are text")
        elif payload is None or (message is not None and len(message) + len(payload) > MAX_FRAME_BYTES):
            self._inbox.refuse(*TOO_LONG)
        else:
            message = self._message = bytearray() if message is None else message
            message += payload
            if first & FIN:
                self._message = None
                self._text(bytes(message))

    def _text(self, message: bytes) -> None:
        if not _is_utf8(message):
            self._inbox.refuse(NOT_UTF8, "not UTF-8")
        else:
            self._inbox.put(message)

    def _broken(self, fault: str) -> None:  # RFC 6455 section 7.4.1 says 1002, the contract 4000
        self._inbox.refuse(PROTOCOL, f"broken frame: {fault}")


def _is_utf8(message: bytes) -> bool:
    if message.isascii():
        return True
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
