"""After the upgrade: what arrives goes from the transport to the reader of frames, with no task to wake in between."""

import asyncio
from typing import cast

from hypercorn.protocol.ws_stream import WSStream


class Straight(asyncio.Protocol):
    """Stands before the protocol of asyncio's streams, which goes on to hear of all else: the end, and full buffers."""

    __slots__ = ("_before", "_stream")

    def __init__(self, before: asyncio.Protocol, stream: WSStream) -> None:
        self._before, self._stream = before, stream

    def data_received(self, data: bytes) -> None:
        """Bytes from the peer; after the end they are for nobody."""
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
    transport.set_protocol(Straight(cast("asyncio.Protocol", transport.get_protocol()), stream))
    return True
