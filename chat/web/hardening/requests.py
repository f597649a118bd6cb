"""HTTP/1.1 requests before the application sees them: what RFC 9112 forbids is refused with a whole problem.

Left to itself, Hypercorn answers an empty 400, resets a peer that is still sending, leaves a refused handshake's
connection open for ever, speaks HTTP/2 to whoever says `Upgrade: h2c`, and gives every upgrade to the application.
"""

import asyncio
from contextlib import suppress
from typing import Any, Self

import h11
import structlog
from hypercorn.events import Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.events import Data
from hypercorn.protocol.h11 import H11WSConnection
from hypercorn.protocol.ws_stream import WSStream

from chat import metrics
from chat.protocol.errors import Code, Fault, InvalidField, PayloadTooLarge
from chat.web.hardening.targets import is_host
from chat.web.hardening.thrift import InOneWrite
from chat.web.headers import ALONE
from chat.web.problems import MEDIA_TYPE, problem_body

MAX_HEAD_BYTES = 32 * 1024
MAX_EARLY_BYTES = 128 * 1024
LINGER_S, LINGER_BYTES, READ_BYTES = 2.0, 8 * 1024 * 1024, 64 * 1024

_LISTS = (
    b"connection",
    b"sec-websocket-protocol",
    b"sec-websocket-extensions",
)  # several lines are one list (RFC 9110 section 5.3)

log = structlog.get_logger()


class Requests(h11.Connection):
    """h11's reading of a connection, and what it lets pass although a request must not have it."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.fault: Fault | None = None
        self.method = b""  # of the request being read; empty until its head is whole

    def next_event(self) -> Any:
        """As h11's; raises `h11.RemoteProtocolError` once, with *fault* saying why; after it nothing is read."""
        if self.fault is not None:
            return h11.NEED_DATA
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.fault = _FAULTS.get(error.error_status_hint, _NOT_HTTP)
            raise
        if isinstance(event, h11.Request):
            self.method, self.fault = event.method, fault_of(event)
            if self.fault is not None:
                raise h11.RemoteProtocolError(str(self.fault))
        return event


_NOT_HTTP = Fault("this is no request of HTTP/1.1 (RFC 9112)", code=Code.INVALID_FIELD)
_HEAD_TOO_LARGE = PayloadTooLarge(f"the head of a request may have {MAX_HEAD_BYTES} bytes")
_FAULTS: dict[int, Fault] = {
    431: _HEAD_TOO_LARGE,
    501: InvalidField("Transfer-Encoding", "a body may be chunked, and nothing else"),
}


def fault_of(request: h11.Request) -> Fault | None:
    """Why *request* is refused whatever it asks for; None when nothing is wrong with it."""
    fields = dict(request.headers)
    if _head_bytes(request) > MAX_HEAD_BYTES:
        return _HEAD_TOO_LARGE
    if not request.http_version.startswith(b"1.") and request.method != b"PRI":
        return Fault("the version is HTTP/1.1", code=Code.INVALID_FIELD)
    if not request.target.startswith((b"/", b"http://", b"https://")) and request.target != b"*":
        return Fault("the target of a request begins with /", code=Code.INVALID_FIELD)
    if not is_host(fields.get(b"host", b"")):
        return InvalidField("Host", "Host is a name or an address, and perhaps a port")
    if b"transfer-encoding" in fields and (b"content-length" in fields or request.http_version == b"1.0"):
        # Two opinions on where the request ends are how one is smuggled past a proxy (RFC 9112 section 6.1).
        return InvalidField("Transfer-Encoding", "a body has one length: chunked, or Content-Length")
    return None


def _head_bytes(request: h11.Request) -> int:
    return len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)


class Careful(InOneWrite):
    """Hypercorn's HTTP/1.1 on one connection, with the contract's refusals."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    def instead_of(cls, given: ProtocolWrapper, *, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Self:
        """The protocol to put in the place of *given*'s own, before anything has been read."""
        made = cls(
            given.app,
            given.config,
            given.context,
            given.task_group,
            given.state,
            given.ssl,
            given.client,
            given.server,
            given.send,
        )
        made.connection = Requests()
        made.reader, made.writer = reader, writer
        return made

    async def _create_stream(self, request: h11.Request) -> None:
        await super()._create_stream(prepared(request))
        if isinstance(self.stream, WSStream) and isinstance(self.connection, H11WSConnection):
            self.connection = Upgrading(self.connection, self.stream)

    async def _check_protocol(self, event: h11.Request) -> None:
        if event.method == b"PRI":  # HTTP/2 from the first byte; by `Upgrade: h2c` it would pass a proxy unseen
            await self.send(Updated(idle=True))  # until there is a stream
            await super()._check_protocol(event)

    async def _send_error_response(self, status_code: int) -> None:
        fault = getattr(self.connection, "fault", None) or _FAULTS.get(status_code, _NOT_HTTP)
        await self._close_stream()  # whatever the application is about to say is too late
        status, body = problem_body(fault)
        metrics.errors.labels(Code(fault.code).value).inc()
        log.info("http.refused", status=status, code=str(fault.code))
        headers = ALONE | {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body))}
        await self._send_h11_event(h11.Response(status_code=status, headers=list(headers.items())))
        if getattr(self.connection, "method", b"") != b"HEAD":
            await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())
        await self._linger()

    async def _linger(self) -> None:
        """Read on for a while: closing on unread bytes resets the connection, and the answer with it."""
        left_bytes = LINGER_BYTES
        with suppress(TimeoutError, OSError, RuntimeError):  # RuntimeError: the transport is gone
            async with asyncio.timeout(LINGER_S):
                if self.writer.can_write_eof():
                    self.writer.write_eof()
                while left_bytes > 0 and (data := await self.reader.read(READ_BYTES)):
                    left_bytes -= len(data)


class Upgrading(H11WSConnection):
    """The connection of a handshake: frames that come before its answer wait for it, instead of undoing it."""

    def __init__(self, before: H11WSConnection, stream: WSStream) -> None:
        super().__init__(before.h11_connection)
        self._stream = stream
        self.fault = PayloadTooLarge(f"before the answer to a handshake come at most {MAX_EARLY_BYTES} bytes")

    @property
    def our_state(self) -> Any:  # type: ignore[override]  # what H11Protocol asks before it refuses
        """h11's while the handshake has no answer; None afterwards, so that nothing is recycled."""
        state = self.h11_connection.our_state
        return state if state is h11.SEND_RESPONSE and not self._stream.handshake.accepted else None

    def receive_data(self, data: bytes) -> None:
        """Straight to the reader of frames once there is one: Hypercorn's way there costs as much as the reading."""
        stream = self._stream
        if stream.handshake.accepted and not stream.closed and not self.buffer:
            stream.connection.receive_data(data)
        else:
            super().receive_data(data)

    def next_event(self) -> Data | type[h11.NEED_DATA]:
        """What arrived, once the handshake is accepted; raises `h11.RemoteProtocolError` if too much came before."""
        if self._stream.handshake.accepted:
            return super().next_event()
        if len(self.buffer) > MAX_EARLY_BYTES:
            raise h11.RemoteProtocolError(str(self.fault))
        return h11.NEED_DATA


def prepared(request: h11.Request) -> h11.Request:
    """*request* as the stack can take it: an upgrade that is not possible is ignored (RFC 9110 section 7.8)."""
    names = [name for name, _ in request.headers]
    if b"upgrade" not in names:
        return request
    if not may_upgrade(request):
        return _with_headers(request, [(name, value) for name, value in request.headers if name != b"upgrade"])
    return _joined(request) if any(names.count(name) > 1 for name in _LISTS) else request


def may_upgrade(request: h11.Request) -> bool:
    """Whether *request* is a handshake (RFC 6455 section 4.2.1), and has no body."""
    fields = dict(request.headers)
    length = fields.get(b"content-length", b"0")
    return (
        request.http_version == b"1.1"
        and fields.get(b"sec-websocket-version") == b"13"
        and bool(fields.get(b"sec-websocket-key"))
        and b"transfer-encoding" not in fields
        and not length.strip(b"0")
        and all(value.isascii() for name, value in request.headers if name in _LISTS)
    )


def _joined(request: h11.Request) -> h11.Request:
    """*request* with one line for each list: of several the handshake would read the last."""
    lists = {wanted: [value for name, value in request.headers if name == wanted] for wanted in _LISTS}
    others = [(name, value) for name, value in request.headers if name not in _LISTS]
    return _with_headers(request, [*others, *((name, b", ".join(lines)) for name, lines in lists.items() if lines)])


def _with_headers(request: h11.Request, headers: list[tuple[bytes, bytes]]) -> h11.Request:
    return h11.Request(method=request.method, headers=headers, target=request.target, http_version=request.http_version)
