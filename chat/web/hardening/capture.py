"""Finds Hypercorn's stream and transport beneath an ASGI `send`, and puts the guarded reader into its handshake."""

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Any, cast

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import AsyncioSingleTask
from hypercorn.events import RawData
from hypercorn.protocol.events import Data
from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import Handshake, WSStream
from quart.asgi import ASGIHTTPConnection

from chat.web.hardening.inbound import GuardedConnection, Inbox
from chat.web.hardening.outbound import QueuedSink, Send, Transport, TransportSink, by_asgi
from chat.web.hardening.straight import cut_over

Sink = TransportSink | QueuedSink
CUT_OVER_TRIES = 3


def stream_of(send: Send) -> WSStream | None:
    """The Hypercorn stream whose bound method *send* is; None under another server."""
    owner = getattr(send, "__self__", None)
    return owner if isinstance(owner, WSStream) else None


async def hear(send: Send, *, direct: bool) -> None:
    """Read what the peer sent before the handshake was answered; where *direct*, what comes from now on comes straight.

    A peer that never stops sending meanwhile stays on the long way: nothing may be overtaken.
    """
    stream, protocol = stream_of(send), _protocol_of(send)
    if stream is None or protocol is None:
        return
    await protocol.handle(RawData(b""))
    server = _server_of(protocol)
    for _ in range(CUT_OVER_TRIES if direct else 0):
        if server is None or cut_over(stream, server.reader, server.writer.transport):
            return
        await asyncio.sleep(0)  # the server's own task is about to take what waits


def is_over(send: Send) -> bool:
    """Whether Hypercorn has ended the connection whose *send* this is, and takes what is sent for nothing."""
    stream = stream_of(send)
    return stream is not None and stream.closed


def transport_of(send: Send) -> Transport | None:
    """The connection's transport when frames may be written to it: HTTP/1.1 under Hypercorn."""
    protocol = _protocol_of(send)
    server = None if protocol is None else _server_of(protocol)
    return None if server is None else cast("Transport", server.writer.transport)


def _protocol_of(send: Send) -> H11Protocol | None:
    stream = stream_of(send)
    protocol = getattr(stream.send, "__self__", None) if stream is not None else None
    return protocol if isinstance(protocol, H11Protocol) else None


def _server_of(protocol: H11Protocol) -> TCPServer | None:
    server = getattr(protocol.send, "__self__", None)
    return server if isinstance(server, TCPServer) else None


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
        H11Protocol: (
            "stream_send",
            "_create_stream",
            "_check_protocol",
            "_send_error_response",
            "_close_stream",
            "_send_h11_event",
        ),
        H2Protocol: ("stream_send",),
        StreamBuffer: ("drain", "close"),
        TCPServer: ("protocol_send", "run", "_read_data", "_initiate_server_close"),
        AsyncioSingleTask: ("restart", "stop"),
        ASGIHTTPConnection: ("_create_request_from_scope", "handle_request"),
    }
    return [
        f"{owner.__module__}.{owner.__name__} no longer has {name}"
        for owner, names in expected.items()
        for name in names
        if not hasattr(owner, name)
    ]
