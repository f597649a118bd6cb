"""Frames written to the transport and frames sent by the server's own stream: the same bytes, whatever is beneath."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import pytest
from hypercorn.config import Config
from hypercorn.protocol.events import Data
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from wsproto.connection import Connection, ConnectionType

from chat.fanout.frames import text_frame
from chat.web.hardening.capture import sink_for
from chat.web.hardening.outbound import QueuedSink, TransportSink, by_asgi
from tests.chat.certificate import make_certificate
from tests.chat.server import Account, Http, Server, free_port
from tests.chat.web.http2 import h2_socket

CONTENTS = ("☕", "ü" * 300, "x" * 4000, '"\t\n' * 1300)


class Stream(Protocol):
    """What a WebSocket's bytes come from and go to."""

    def write(self, frames: bytes) -> None: ...
    async def readexactly(self, size: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a listener: which process, and what the WebSocket runs over."""

    server: Server
    version: str

    def __str__(self) -> str:
        direct = self.server.settings["CHAT_DIRECT_WRITES"]
        return f"HTTP/{self.version}{' over TLS' if self.server.trust else ''}, direct writes {direct}"


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Way]]:
    """Processes of one service with the fast path on and off, with TLS and without, and both versions of HTTP."""
    data_dir = tmp_path_factory.mktemp("same-bytes")
    certificate = make_certificate(data_dir)
    tls = {"CHAT_TLS_CERT": str(certificate.cert), "CHAT_TLS_KEY": str(certificate.key)}
    servers = [
        Server(
            free_port(),
            data_dir,
            {"CHAT_DIRECT_WRITES": direct, "CHAT_HEARTBEAT_MS": "60000", **(tls if trust else {})},
            trust=trust,
        )
        for trust in (None, certificate.trust)
        for direct in ("on", "off")
    ]
    servers[0].start()  # makes the database
    with ThreadPoolExecutor() as pool:
        list(pool.map(Server.start, servers[1:]))
    yield [Way(server, version) for server in servers for version in ("1.1", "2")]
    for server in servers:
        server.stop()
        assert not server.errors(), server.errors()[:3]


class Plain:
    """A WebSocket over HTTP/1.1, after the upgrade."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.write, self.readexactly = writer.write, reader.readexactly


@asynccontextmanager
async def _upgraded(port: int, *, token: str, tls: ssl.SSLContext | None) -> AsyncIterator[Plain]:
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
    lines = ["GET /chat HTTP/1.1", f"Host: localhost:{port}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    writer.write("\r\n".join([*lines, f"Authorization: Bearer {token}", "", ""]).encode())
    try:
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        yield Plain(reader, writer)
    finally:
        writer.transport.abort()


async def _frame(stream: Stream) -> bytes:
    """The next frame as it came over the wire (RFC 6455 section 5.2)."""
    head = await stream.readexactly(2)
    size = head[1]
    if size > 125:
        head += await stream.readexactly(2 if size == 126 else 8)
        size = int.from_bytes(head[2:], "big")
    return head + await stream.readexactly(size)


def _masked(opcode: int, payload: bytes) -> bytes:
    return bytes((0x80 | opcode, 0x80 | len(payload))) + bytes(4) + payload


async def _listener(way: Way, by: Account, room_id: str, stack: AsyncExitStack) -> Stream:
    """A connection of *by* that views the room and has read its hello, which no other is like."""
    port, token, tls = way.server.port, by.access_token, way.server.trust
    stream: Stream
    if way.version == "2":
        stream = await stack.enter_async_context(h2_socket(port, token=token, tls=tls))
    else:
        stream = await stack.enter_async_context(_upgraded(port, token=token, tls=tls))
    hello = await _frame(stream)
    assert b'"type":"hello"' in hello, hello
    stream.write(_masked(1, json.dumps({"type": "view", "id": "view", "room_id": room_id}).encode()))
    return stream


async def _happen(http: Http, ann: Account, room_id: str, *, guest: Account) -> None:
    messages = [await http.send(ann, room_id, content) for content in CONTENTS]
    await http.call("PUT", f"/messages/{messages[0]['id']}/reactions/{quote('👍')}", by=ann)
    await http.join(guest, room_id)


@pytest.mark.timeout(180)
async def test_one_event_has_the_same_bytes_whichever_way_it_leaves(ways: list[Way]) -> None:
    async with Http(ways[0].server) as http, AsyncExitStack() as stack:
        ann, bob, guest = [await http.register() for _ in range(3)]
        room = await http.create_room(ann)
        await http.join(bob, room["id"])
        streams = {str(way): await _listener(way, bob, room["id"], stack) for way in ways}
        heard = {way: await _frame(stream) for way, stream in streams.items()}  # the ack: all view the room now
        await _happen(http, ann, room["id"], guest=guest)
        for way, stream in streams.items():
            for _ in range(len(CONTENTS) + 2):
                heard[way] += await _frame(stream)
            stream.write(_masked(1, b'{"type":"ping","id":"p"}') + _masked(9, b"here?"))
            heard[way] += await _frame(stream) + await _frame(stream)
        await http.call("POST", "/auth/logout", by=bob)
        for way, stream in streams.items():
            heard[way] += await _frame(stream)
    first = heard[str(ways[0])]
    assert len(heard) == 8
    assert first.count(b'"type":"message"') == len(CONTENTS)
    assert first.endswith(b"session ended")
    assert {way: bytes_ for way, bytes_ in heard.items() if bytes_ != first} == {}


# The framing by itself, for lengths that no event of the contract has.


class Wire:
    """A transport, or what a server's stream sends to; keeps the bytes."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data

    async def take(self, event: Any) -> None:
        assert isinstance(event, Data)
        self.sent += event.data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None: ...


def _stream(wire: Wire) -> WSStream:
    unused: Any = None
    stream = WSStream(unused, Config(), unused, unused, False, None, None, wire.take, 1)
    stream.connection, stream.state = Connection(ConnectionType.SERVER), ASGIWebsocketState.CONNECTED
    return stream


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 70000])
async def test_a_frame_of_any_length_is_what_the_stack_itself_would_send(size: int) -> None:
    payloads = [b"a" * size, "☕".encode() * (size // 3)]
    direct, streamed, plain = Wire(), Wire(), Wire()
    TransportSink(direct).write([text_frame(payload) for payload in payloads])
    for sink in (sink_for(_stream(streamed).app_send, direct=False), QueuedSink(by_asgi(_stream(plain).app_send))):
        sink.write([text_frame(payload) for payload in payloads])
        await sink.sent()
    assert direct.sent == streamed.sent == plain.sent
