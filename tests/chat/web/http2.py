"""A WebSocket over HTTP/2 (RFC 8441), spoken with `h2`: what arrives is kept as the bytes of its DATA frames."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.config
import h2.connection
import h2.events
import h2.settings

CONNECT_PROTOCOL = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL


class H2Socket:
    """One extended CONNECT stream on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._stream_id = 0
        self.status = b""
        self.data = bytearray()  # received and not yet taken

    async def open(self, authority: str, *, token: str) -> None:
        """Wait for the server's SETTINGS to allow it (RFC 8441 section 3), then ask and wait for the answer."""
        self._h2.initiate_connection()
        self._flush()
        while not self._h2.remote_settings.get(CONNECT_PROTOCOL):
            await self._receive()
        self._stream_id = self._h2.get_next_available_stream_id()
        headers = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat")]
        headers += [(":authority", authority), ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat.v1")]
        self._h2.send_headers(self._stream_id, [*headers, ("authorization", f"Bearer {token}")])
        self._flush()
        while not self.status:
            await self._receive()

    def write(self, frames: bytes) -> None:
        """Send bytes of WebSocket frames."""
        self._h2.send_data(self._stream_id, frames)
        self._flush()

    async def readexactly(self, size: int) -> bytes:
        """The next *size* bytes of the stream, as of `asyncio.StreamReader`."""
        while len(self.data) < size:
            await self._receive()
        taken = bytes(self.data[:size])
        del self.data[:size]
        return taken

    async def _receive(self) -> None:
        arrived = await self._reader.read(65536)
        if not arrived:
            raise ConnectionError("the server ended the HTTP/2 connection")
        for event in self._h2.receive_data(arrived):
            match event:
                case h2.events.ResponseReceived():
                    self.status = dict(event.headers)[b":status"]
                case h2.events.DataReceived():
                    self.data += event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, self._stream_id)
                case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                    raise ConnectionError(f"the server gave up: {event!r}")
        self._flush()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())


@asynccontextmanager
async def h2_socket(port: int, *, token: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[H2Socket]:
    """An open one; HTTP/2 by prior knowledge (RFC 9113 section 3.3), since the server's ALPN offers HTTP/1.1 alone."""
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
    try:
        peer = H2Socket(reader, writer)
        await peer.open(f"localhost:{port}", token=token)
        yield peer
    finally:
        writer.transport.abort()
