"""Clients that mean harm, one function each, on bare sockets; each returns what it saw of the server's defence."""

import asyncio
import contextlib
import json
import os
import socket
import struct
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence

from tests.chat.hostile.wire import ask, read_answer, request
from tests.chat.server import Account, Server

TEXT, CONTINUATION, CLOSE, PING, PONG = 1, 0, 8, 9, 10
PATIENCE_S = 60.0
AT_ONCE = 15  # big messages; more are a flood
CONNECTS = 100  # under way at once
GONE = 1006  # the connection ended without a close frame


def frame(opcode: int, payload: bytes = b"", *, last: bool = True, rsv1: bool = False) -> bytes:
    """One frame as a client sends it (RFC 6455 section 5.2), masked with zeros."""
    first = opcode | (0x80 if last else 0) | (0x40 if rsv1 else 0)
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", first, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload


def command(kind: str, **fields: object) -> bytes:
    """A command as one frame."""
    return frame(TEXT, json.dumps({"type": kind, "id": "x"} | fields, ensure_ascii=False).encode())


def handshake(by: Account | None, *, extensions: bool = False) -> bytes:
    """A request for the upgrade."""
    headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ]
    if extensions:
        headers.append(("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"))
    return request("GET", "/chat", token=by.access_token if by is not None else None, headers=headers)


class Raw:
    """A WebSocket that obeys only the one who holds it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *frames: bytes) -> None:
        """Send frames; a connection that is gone takes nothing."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(b"".join(frames))
            await self.writer.drain()

    async def read(self) -> tuple[int, bytes]:
        """The opcode and payload of the next frame."""
        first, size = await self.reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        return first & 15, await self.reader.readexactly(size)

    async def close_code(self, *, within_s: float = PATIENCE_S) -> int:
        """Read to the end, answering nothing; the close code."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            async with asyncio.timeout(within_s):
                while True:
                    opcode, payload = await self.read()
                    if opcode == CLOSE:
                        return int.from_bytes(payload[:2], "big")
        return GONE


@contextlib.asynccontextmanager
async def upgraded(server: Server, by: Account, *, extensions: bool = False) -> AsyncIterator[Raw]:
    """A connection after its upgrade; a server with its hands full (503) is asked again when it says."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(handshake(by, extensions=extensions))
            answer = await read_answer(reader)
            if answer.status != 503:
                break
            writer.transport.abort()
            await asyncio.sleep(int(answer.headers["retry-after"]))
    try:
        assert answer.status == 101, answer
        assert "sec-websocket-extensions" not in answer.headers
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


@contextlib.contextmanager
def deaf(server: Server, people: Sequence[Account]) -> Iterator[list[socket.socket]]:
    """Connections whose peers never read a byte, with as little room for what is sent as the kernel allows."""
    with contextlib.ExitStack() as stack:
        opened = []
        for by in people:
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(handshake(by))
            opened.append(connection)
        yield opened


def murmur(connections: Sequence[socket.socket]) -> None:
    """Show that the peers are alive, though they read nothing."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.send(frame(PONG), socket.MSG_DONTWAIT)


async def noise(server: Server, by: Account, room_id: str, *, messages: int) -> Counter[str | None]:
    """Fill a room with big messages as fast as the rate lets; the codes of the answers."""
    found: Counter[str | None] = Counter()
    async with upgraded(server, by) as raw:
        big = command("message", room_id=room_id, content="🍕" * 3900)
        for _ in range(0, messages, AT_ONCE):
            await raw.send(big * AT_ONCE)
            answered = 0
            while answered < AT_ONCE:
                opcode, payload = await asyncio.wait_for(raw.read(), PATIENCE_S)
                if opcode == PING:  # on a busy machine the answers take longer than two heartbeats
                    await raw.send(frame(PONG))
                assert opcode != CLOSE, payload
                answer = json.loads(payload) if opcode == TEXT else {}
                if "re" in answer:
                    answered += 1
                    found[answer.get("code")] += 1
    return found


async def flood(server: Server, by: Account, *, frames: int, junk: bytes) -> int:
    """Send one frame over and over, reading whatever comes; the close code."""
    async with upgraded(server, by) as raw:
        closing = asyncio.create_task(raw.close_code())
        for _ in range(frames // 100):
            if closing.done():
                break
            await raw.send(junk * 100)
        return await closing


async def silence(server: Server, by: Account) -> int:
    """Answer no ping; the close code."""
    async with upgraded(server, by) as raw:
        return await raw.close_code()


async def fragments(server: Server, by: Account, *, count: int, payload: bytes) -> int | dict[str, object]:
    """One message in *count* fragments: the answer to it, or the close code."""
    async with upgraded(server, by) as raw:
        await raw.read()
        piece = frame(CONTINUATION, payload, last=False)
        await raw.send(frame(TEXT, b'{"type":"ping","id":"many","x":"', last=False))
        for _ in range(count // 1000):
            await raw.send(piece * 1000)
        await raw.send(frame(CONTINUATION, b'"}'))
        while True:
            try:
                opcode, found = await asyncio.wait_for(raw.read(), PATIENCE_S)
            except (asyncio.IncompleteReadError, ConnectionError):
                return GONE
            if opcode == CLOSE:
                return int.from_bytes(found[:2], "big")
            if opcode == TEXT and (answer := json.loads(found)).get("re") is not None:
                return dict(answer)


async def deflate_bomb(server: Server, by: Account) -> int:
    """Offer compression and send 64 MiB of zeros as a few KiB of it; the close code."""
    async with upgraded(server, by, extensions=True) as raw:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = packer.compress(bytes(64 * 1024 * 1024)) + packer.flush(zlib.Z_SYNC_FLUSH)
        await raw.send(frame(TEXT, bomb[:60_000], rsv1=True))
        return await raw.close_code()


async def trickle(server: Server, raw: bytes, *, every_s: float = 0.2) -> bytes:
    """Send a request a byte at a time until the server has had enough; what it said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            for byte in raw:
                writer.write(bytes([byte]))
                await asyncio.sleep(every_s)

    dripping = asyncio.create_task(drip())
    try:
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), PATIENCE_S)
        return b""
    finally:
        dripping.cancel()
        writer.transport.abort()


def slow_handshake(by: Account) -> bytes:
    """A handshake that at a byte at a time takes for ever."""
    return handshake(by)[:-4] + b"\r\nX-Padding: " + b"x" * 4000


def slow_body(by: Account) -> bytes:
    """A body that at a byte at a time takes for ever."""
    return request("POST", "/rooms", token=by.access_token, body=b'{"name":"' + b"x" * 4000)


async def storm(server: Server, people: Sequence[Account], *, sockets: int) -> Counter[str]:
    """All connect, are cut off, and connect again at once; the first frames they get."""
    gate = asyncio.Semaphore(CONNECTS)
    found: Counter[str] = Counter()

    async def once(by: Account) -> None:
        async with gate, upgraded(server, by) as raw:
            _, payload = await asyncio.wait_for(raw.read(), PATIENCE_S)
            found[json.loads(payload)["type"] if payload.startswith(b"{") else "close"] += 1

    for _ in range(2):
        async with asyncio.TaskGroup() as group:
            for place in range(sockets):
                group.create_task(once(people[place % len(people)]))
    return found


async def without_token(server: Server, *, sockets: int) -> Counter[int]:
    """Ask for upgrades without a token; the statuses."""
    gate = asyncio.Semaphore(CONNECTS)
    found: Counter[int] = Counter()

    async def once() -> None:
        async with gate:
            found[(await ask(server, handshake(None))).status] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(sockets):
            group.create_task(once())
    return found


async def guess_passwords(server: Server, username: str, *, guesses: int, addresses: int) -> Counter[int]:
    """Guess from a few addresses behind the trusted proxy; the statuses."""
    gate = asyncio.Semaphore(20)
    found: Counter[int] = Counter()

    async def once(place: int) -> None:
        body = {"username": username, "password": f"guess {os.urandom(4).hex()}"}
        headers = [("X-Forwarded-For", f"203.0.113.{place % addresses}")]
        async with gate:
            found[(await ask(server, request("POST", "/auth/login", body=body, headers=headers))).status] += 1

    async with asyncio.TaskGroup() as group:
        for place in range(guesses):
            group.create_task(once(place))
    return found
