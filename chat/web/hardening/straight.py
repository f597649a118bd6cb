"""After the upgrade: what arrives goes from the transport to the reader of frames, with no task to wake in between."""

import asyncio
from typing import cast

from hypercorn.protocol.ws_stream import WSStream

SLICE_BYTES = 4 * 1024  # read before it is another connection's turn: some 80 commands, half a millisecond


class Straight(asyncio.Protocol):
    """Stands before the protocol of asyncio's streams, which goes on to hear of all else: the end, and full buffers."""

    __slots__ = ("_at", "_before", "_loop", "_rest", "_stream", "_transport")

    def __init__(self, before: asyncio.Protocol, stream: WSStream, transport: asyncio.Transport) -> None:
        self._before, self._stream, self._transport = before, stream, transport
        self._loop = asyncio.get_running_loop()
        self._rest, self._at = b"", 0  # what is read by and by; meanwhile the peer has to wait

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer; after the end they are for nobody."""
        if len(data) <= SLICE_BYTES and not self._rest:
            self._read(data)
        elif not self._transport.is_closing():
            waits = bool(self._rest)
            self._rest, self._at = self._rest[self._at :] + data, 0
            if not waits:
                self._transport.pause_reading()
                self._go_on()

    def _go_on(self) -> None:
        begin, self._at = self._at, self._at + SLICE_BYTES
        self._read(self._rest[begin : self._at])
        if self._transport.is_closing():
            self._rest = b""
        elif self._at < len(self._rest):
            self._loop.call_soon(self._go_on)
        else:
            self._rest = b""
            self._transport.resume_reading()

    def _read(self, data: bytes) -> None:
        if not self._stream.closed:
            self._stream.connection.receive_data(data)

    def eof_received(self) -> bool | None:
        """The peer sends no more."""
        return self._before.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._before.connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer does not take what is written."""
        self._before.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._before.resume_writing()


def cut_over(stream: WSStream, reader: asyncio.StreamReader, transport: asyncio.WriteTransport) -> bool:
    """Put it in place, unless something waits in *reader*, and would be overtaken; tells whether it is."""
    if getattr(reader, "_buffer", True):  # there is no public way to ask; without it all goes the long way
        return False
    before = cast("asyncio.Protocol", transport.get_protocol())
    transport.set_protocol(Straight(before, stream, cast("asyncio.Transport", transport)))
    return True
