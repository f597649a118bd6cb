"""Accepts connections for Hypercorn and owns their end: stop accepting, answer what is asked, let go in time.

Hypercorn's own `serve` ties all of this to one trigger: it closes idle connections at once (a request just sent is
reset), waits without a deadline on Python ≥ 3.12, and cannot accept again. What it does per connection is kept.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from typing import Any

import h11
import structlog
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import Framework
from hypercorn.utils import wrap_app

from chat.web.hardening.requests import Careful
from chat.web.hardening.sockets import tune
from chat.web.hardening.straight import SLICE_BYTES
from chat.web.hardening.thrift import IdleTimer
from chat.web.waiting import until

BACKLOG = 2_048
LINGER_S = 0.3
HANDSHAKE_S = 10.0  # of TLS

log = structlog.get_logger()


def config() -> Config:
    """Hypercorn's settings for every connection."""
    settings = Config()
    settings.keep_alive_timeout = 15
    settings.keep_alive_max_requests = 100_000
    settings.include_server_header = False
    settings.accesslog = None
    settings.errorlog = logging.getLogger("hypercorn.error")  # what the application let escape
    settings.backlog = BACKLOG
    return settings


class Connection(TCPServer):
    """Hypercorn's connection, but careful with requests, and gone when the peer is: not only when its timer ran out."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.idle_task = IdleTimer(self)

    async def _read_data(self) -> None:
        if isinstance(self.protocol.protocol, H11Protocol):
            self.protocol.protocol = Careful.instead_of(self.protocol, reader=self.reader, writer=self.writer)
        await self._read_by_turns()
        await self.protocol.handle(Closed())
        await self.idle_task.stop()

    async def _read_by_turns(self) -> None:
        """As Hypercorn's, but frames in slices: for as long as 64 KiB of tiny ones take, nobody else would be served.

        A request is read whole if it has come whole: one that is answered before its end ends its connection.
        """
        while not self.reader.at_eof():
            size = MAX_RECV if _is_http1(self.protocol.protocol) else SLICE_BYTES
            try:
                data = await self.reader.read(size)
            except OSError:  # as are TLS's and a connection's
                return
            await self.protocol.handle(RawData(data))
            if len(data) == SLICE_BYTES:
                await asyncio.sleep(0)

    async def _close(self) -> None:
        with contextlib.suppress(OSError):  # a peer that is gone, or over TLS does not answer the goodbye
            await super()._close()


class Connections:
    """The open connections of this process, and how they end."""

    def __init__(self, app: Framework, settings: Config, *, limit: int) -> None:
        self._app = wrap_app(app, settings.wsgi_max_body_size, "asgi")
        self._settings, self._limit = settings, limit
        self._context = WorkerContext(None)
        self._open: dict[asyncio.Task[Any], TCPServer] = {}

    def __len__(self) -> int:
        return len(self._open)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one accepted connection to its end."""
        task = asyncio.current_task()
        if task is None or len(self._open) >= self._limit:
            writer.transport.abort()
            return
        if (connection := writer.get_extra_info("socket")) is not None:
            with contextlib.suppress(OSError):  # it may be gone already
                tune(connection)
        server = Connection(self._app, asyncio.get_running_loop(), self._settings, self._context, {}, reader, writer)
        self._open[task] = server
        try:
            await server
        except asyncio.CancelledError:
            log.info("connection.cut")  # at the very end of the process; nothing awaits this task
        except Exception:
            log.exception("connection.failed")
        finally:
            self._open.pop(task, None)
            writer.transport.abort()

    def idle(self) -> list[TCPServer]:
        """Kept-alive connections between two requests."""
        return [server for server in self._open.values() if _is_idle(server)]

    async def until_quiet(self, deadline: float) -> None:
        """Wait until no connection is busy, or until *deadline* (loop time)."""
        left_s = deadline - asyncio.get_running_loop().time()
        await until(lambda: len(self.idle()) == len(self._open), within_s=left_s)

    async def end(self, *, linger_s: float = LINGER_S) -> None:
        """Close every connection: what was written arrives, what does not end by itself is aborted."""
        for server in list(self._open.values()):
            with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
                server.writer.write_eof()
        if self._open:
            await asyncio.wait(list(self._open), timeout=linger_s)
        for server in list(self._open.values()):
            server.writer.transport.abort()
        if self._open:
            await asyncio.wait(list(self._open), timeout=linger_s)
        for task in list(self._open):
            task.cancel()


def _is_http1(protocol: Any) -> bool:
    """True until an upgrade."""
    return isinstance(protocol, H11Protocol) and isinstance(protocol.connection, h11.Connection)


def _is_idle(server: TCPServer) -> bool:
    protocol = server.protocol.protocol
    if not isinstance(protocol, H11Protocol):
        return not protocol.streams
    return protocol.stream is None and not protocol.connection.trailing_data[0]


class Listener:
    """One listening socket: may start and stop accepting any number of times. The descriptor stays its owner's."""

    def __init__(
        self, listening: socket.socket, connections: Connections, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._listening, self._connections, self._tls = listening, connections, tls
        self._server: asyncio.Server | None = None

    @property
    def accepting(self) -> bool:
        """Whether connections are accepted now."""
        return self._server is not None

    async def start(self) -> None:
        """Accept from now on."""
        if self._server is None:
            duplicate = self._listening.dup()  # the server closes what it is given
            duplicate.setblocking(False)
            self._server = await asyncio.start_server(
                self._connections.serve,
                sock=duplicate,
                backlog=BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_S if self._tls else None,
                ssl_shutdown_timeout=LINGER_S if self._tls else None,
            )

    def stop(self) -> None:
        """Accept no more; open connections go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
