"""Finds Hypercorn's stream and transport beneath an ASGI `send`, and puts the guarded reader into its handshake."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any, cast

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import RawData
from hypercorn.protocol.events import Data
from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import Handshake, WSStream
from wsproto.connection import Connection

from chat.web.hardening.inbound import GuardedConnection, Inbox
from chat.web.hardening.outbound import QueuedSink, Send, Transport, TransportSink, by_asgi

Sink = TransportSink | QueuedSink


def stream_of(send: Send) -> WSStream | None:
    """The Hypercorn stream whose bound method *send* is; None under another server."""
    owner = getattr(send, "__self__", None)
    return owner if isinstance(owner, WSStream) else None


async def hear(send: Send) -> None:
    """Read what the peer sent before the handshake was answered."""
    stream = stream_of(send)
    protocol = getattr(stream.send, "__self__", None) if stream is not None else None
    if isinstance(protocol, H11Protocol):
        await protocol.handle(RawData(b""))


def is_over(send: Send) -> bool:
    """Whether Hypercorn has ended the connection whose *send* this is, and takes what is sent for nothing."""
    stream = stream_of(send)
    return stream is not None and stream.closed


def transport_of(send: Send) -> Transport | None:
    """The connection's transport when frames may be written to it: HTTP/1.1 under Hypercorn."""
    stream = stream_of(send)
    protocol = getattr(stream.send, "__self__", None) if stream is not None else None
    if not isinstance(protocol, H11Protocol):
        return None
    server = getattr(protocol.send, "__self__", None)
    return cast("Transport", server.writer.transport) if isinstance(server, TCPServer) else None


def guard(send: Send, inbox: Inbox) -> bool:
    """From the coming accept on, *inbox* gets what arrives and no extension is negotiated; False: another server."""
    stream = stream_of(send)
    if stream is None:
        return False
    handshake = stream.handshake
    handshake.extensions = None
    handshake.accept = partial(_accept, handshake, inbox)  # type: ignore[method-assign]  # the one hook there is
    return True


def _accept(
    handshake: Handshake, inbox: Inbox, subprotocol: str | None, additional_headers: Iterable[tuple[bytes, bytes]]
) -> tuple[int, list[tuple[bytes, bytes]], Any]:
    status, headers, _ = Handshake.accept(handshake, subprotocol, additional_headers)
    return status, headers, GuardedConnection(inbox)


def sink_for(send: Send, *, direct: bool) -> Sink:
    """The transport where *direct* and possible; else the stream (HTTP/2); else ASGI (another server)."""
    transport = transport_of(send) if direct else None
    if transport is not None:
        return TransportSink(transport)
    stream = stream_of(send)
    return QueuedSink(by_asgi(send) if stream is None else partial(_by_stream, stream))


async def _by_stream(stream: WSStream, frames: list[bytes]) -> None:
    """Return once the stream has let go of *frames*; cancelled, it sends nothing more.

    Over HTTP/2 taking them is not enough: Hypercorn takes any amount for a peer whose window is shut.
    """
    protocol = getattr(stream.send, "__self__", None)
    buffer = protocol.stream_buffers.get(stream.stream_id) if isinstance(protocol, H2Protocol) else None
    try:
        await stream.send(Data(stream_id=stream.stream_id, data=b"".join(frames)))
        if buffer is not None:
            await buffer.drain()
    except asyncio.CancelledError:
        if buffer is not None:
            await buffer.close()  # Hypercorn would keep it for as long as the connection lasts
        raise


def faults() -> list[str]:
    """What an upgrade of the stack has undone of what this module relies on; empty when all is well."""
    expected = {
        Handshake: ("accept", "is_valid"),
        WSStream: ("handle", "app_send", "_handle_events"),
        H11Protocol: ("stream_send", "_create_stream", "_check_protocol", "_send_error_response", "_close_stream"),
        H2Protocol: ("stream_send",),
        StreamBuffer: ("drain", "close"),
        TCPServer: ("protocol_send", "run", "_read_data"),
        Connection: ("receive_data", "events", "send"),
    }
    return [
        f"{owner.__module__}.{owner.__name__} no longer has {name}"
        for owner, names in expected.items()
        for name in names
        if not hasattr(owner, name)
    ]
