"""What the stack does, and the cure for each: against a real server, over real sockets, with raw bytes where needed."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from chat.web.hardening import capture
from tests.chat.server import NO_TLS, Account, Http, Server, Socket, connected, nonce, open_socket, running, wait_until
from tests.chat.web.http2 import h2_socket

DROPPED = 'chat_closes_total{code="4208"}'


class Raw:
    """A WebSocket by hand: whatever bytes a hostile client likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.head = b""

    def frame(self, opcode: int, payload: bytes, *, fin: bool = True) -> None:
        """Send one masked frame (the mask is zero)."""
        size = len(payload)
        if size < 126:
            length = bytes([0x80 | size])
        elif size < 65536:
            length = b"\xfe" + size.to_bytes(2, "big")
        else:
            length = b"\xff" + size.to_bytes(8, "big")
        self.writer.write(bytes([(0x80 if fin else 0) | opcode]) + length + bytes(4) + payload)

    async def received(self) -> tuple[int, bytes]:
        """The next frame: opcode, payload."""
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        return first & 0x0F, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        """Read up to the server's close frame."""
        async with asyncio.timeout(20):
            while True:
                opcode, payload = await self.received()
                if opcode == 8:
                    return int.from_bytes(payload[:2], "big")

    async def answer(self) -> dict[str, Any]:
        """The next answer to a command."""
        async with asyncio.timeout(20):
            while True:
                opcode, payload = await self.received()
                if opcode == 1 and "re" in (found := json.loads(payload)):
                    return dict(found)


@asynccontextmanager
async def raw_socket(by: Account, *headers: str) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", by.server.port)
    lines = [
        "GET /chat HTTP/1.1",
        f"Host: 127.0.0.1:{by.server.port}",
        f"Authorization: Bearer {by.access_token}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        *headers,
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    raw = Raw(reader, writer)
    raw.head = await reader.readuntil(b"\r\n\r\n")
    try:
        yield raw
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@pytest.fixture
async def ann(shared_server: Server) -> Account:
    async with Http(shared_server) as http:
        return await http.register()


def test_the_stack_still_has_what_the_cures_need() -> None:
    assert capture.faults() == []


async def test_compression_is_never_negotiated(ann: Account) -> None:
    url = ann.server.url.replace("http", "ws") + "/chat"
    offer = [ClientPerMessageDeflateFactory()]
    async with connect(url, additional_headers=ann.headers, extensions=offer, proxy=None) as peer:
        assert peer.response is not None
        assert "Sec-WebSocket-Extensions" not in peer.response.headers


@pytest.mark.parametrize(
    ("opcode", "payload", "code"),
    [
        (2, b"binary", 1003),
        (2, b"", 1003),
        (1, b'{"id":"\xff"}', 1007),
        (8, b"\x03\xe8\xff", 1007),
        (1, b"x" * 65537, 1009),
        (1, "é".encode() * 32769, 1009),
    ],
    ids=[
        "binary",
        "empty binary",
        "not UTF-8",
        "a reason not UTF-8",
        "too long",
        "too long in bytes, not in characters",
    ],
)
async def test_a_frame_that_is_not_allowed_closes_with_its_code(
    ann: Account, opcode: int, payload: bytes, code: int
) -> None:
    async with raw_socket(ann) as raw:
        raw.frame(opcode, payload)
        assert await raw.close_code() == code


@pytest.mark.parametrize(
    "broken",
    [
        b"\xc1\x80" + bytes(4),
        b"\xa1\x80" + bytes(4),
        b"\x91\x80" + bytes(4),
        b"\x83\x80" + bytes(4),
        b"\x8f\x80" + bytes(4),
        b"\x09\x80" + bytes(4),
        b"\x89\xfe\x00\x7e" + bytes(4 + 126),
        b"\x81\x01x",
        b"\x80\x80" + bytes(4),
        b"\x01\x80" + bytes(4) + b"\x81\x80" + bytes(4),
        b"\x81\xfe\x00\x01" + bytes(5),
        b"\x81\xff" + b"\xff" * 8 + bytes(4),
        b"\x88\x81" + bytes(5),
        b"\x88\x82" + bytes(4) + (1005).to_bytes(2, "big"),
        b"\x88\x82" + bytes(4) + (999).to_bytes(2, "big"),
    ],
    ids=[
        *("RSV1", "RSV2", "RSV3", "opcode 3", "opcode 15", "fragmented ping", "long ping", "unmasked"),
        *("nothing to continue", "text in a text", "overlong length", "negative length"),
        *("close of one byte", "close 1005", "close 999"),
    ],
)
async def test_a_broken_frame_closes_4000_and_says_why(ann: Account, broken: bytes) -> None:
    async with raw_socket(ann) as raw:
        raw.writer.write(broken)
        async with asyncio.timeout(20):
            while (frame := await raw.received())[0] != 8:
                pass
        assert int.from_bytes(frame[1][:2], "big") == 4000
        assert frame[1][2:].startswith(b"broken frame: ")


async def test_a_frame_of_exactly_64_kib_is_answered(ann: Account) -> None:
    start = b'{"type":"ping","id":"1","x":"'
    async with raw_socket(ann) as raw:
        raw.frame(1, start + b"x" * (65536 - len(start) - 2) + b'"}')
        assert (await raw.answer())["type"] == "pong"


async def test_ten_thousand_fragments_are_one_message(ann: Account) -> None:
    message = b'{"type":"ping","id":"1"}'
    async with raw_socket(ann) as raw:
        raw.frame(1, message[:1], fin=False)
        for place in range(10_000):
            raw.frame(0, message[1 + place : 2 + place], fin=False)
        raw.frame(0, b"", fin=True)
        assert (await raw.answer())["re"] == "1"


async def test_a_declared_giant_frame_is_refused_before_it_arrives(ann: Account) -> None:
    async with raw_socket(ann) as raw:
        raw.writer.write(b"\x81\xff" + (2**40).to_bytes(8, "big") + bytes(4) + b"x" * 70_000)
        assert await raw.close_code() == 1009


async def test_flooding_closes_4100_and_keeps_draining(ann: Account) -> None:
    ping = b'{"type":"ping","id":"1"}'
    async with raw_socket(ann) as raw:
        raw.frame(1, b'{"type":"resume","id":"r","epoch":"","rooms":{"r_1":1}}')
        for _ in range(20_000):
            raw.frame(1, ping)
        code = await raw.close_code()
        assert code == 4100
        raw.frame(8, (1000).to_bytes(2, "big"))
        await raw.writer.drain()


async def test_a_hundred_nameless_frames_close_4000(ann: Account) -> None:
    async with raw_socket(ann) as raw:
        for place in range(100):
            raw.frame(1, [b"nonsense", b"[]", b'{"type":"ping"}', b'{"id":7}'][place % 4])
        assert await raw.close_code() == 4000


async def test_a_named_frame_in_between_starts_the_count_anew(ann: Account) -> None:
    async with raw_socket(ann) as raw:
        for _ in range(3):
            for _ in range(99):
                raw.frame(1, b"[]")
            raw.frame(1, b'{"type":"ping","id":"1"}')
        answers = [await raw.answer() for _ in range(300)]
        assert [a["type"] for a in answers].count("pong") == 3


async def test_a_ping_is_answered_with_its_payload(ann: Account) -> None:
    async with raw_socket(ann) as raw:
        await raw.received()
        raw.frame(9, b"payload")
        assert await raw.received() == (10, b"payload")


async def test_the_peer_s_close_is_answered(ann: Account) -> None:
    async with raw_socket(ann) as raw:
        raw.frame(8, (1000).to_bytes(2, "big"))
        assert await raw.close_code() == 1000
        assert await raw.reader.read() == b""


async def test_a_lone_surrogate_is_refused_at_the_gate(ann: Account) -> None:
    async with Http(ann.server) as http:
        room = await http.create_room(ann)
    async with raw_socket(ann) as raw:
        raw.frame(1, b'{"type":"message","id":"1","room_id":"%b","content":"\\ud800"}' % room["id"].encode())
        refused = await raw.answer()
        assert (refused["code"], refused["field"]) == ("invalid_unicode", "content")


async def test_a_silent_peer_is_closed_4201(tmp_path: Path) -> None:
    with running(tmp_path, CHAT_HEARTBEAT_MS="100") as server:
        async with Http(server) as http:
            ann = await http.register()
        async with raw_socket(ann) as raw:  # never answers a ping
            assert await raw.close_code() == 4201
        async with connected(ann) as alive:  # the library answers pings
            await asyncio.sleep(0.5)
            await alive.ask("ping")


async def test_a_peer_that_falls_silent_is_closed_two_heartbeats_after_it_was_last_heard(tmp_path: Path) -> None:
    with running(tmp_path, CHAT_HEARTBEAT_MS="1000") as server:
        async with Http(server) as http:
            ann = await http.register()
        async with raw_socket(ann) as raw:
            raw.frame(1, b'{"type":"ping","id":"1"}')
            await raw.answer()
            heard_s = asyncio.get_running_loop().time()
            assert await raw.close_code() == 4201
            assert 1.9 < asyncio.get_running_loop().time() - heard_s < 2.6


async def test_a_slow_reader_is_closed_4208_without_delaying_the_others(shared_server: Server) -> None:
    async with Http(shared_server) as http:
        ann, bob = await http.register(), await http.register()
        room = await http.create_room(ann)
        await http.join(bob, room["id"])
        deaf = await open_socket(bob, ping_interval=None, sock=narrow(shared_server))
        deaf.connection.transport.pause_reading()
        dropped_before = measured(shared_server, DROPPED)
        async with connected(ann) as talker:
            while measured(shared_server, DROPPED) == dropped_before:
                for _ in range(20):
                    await talker.say(room["id"], "x" * 4000)
                    await talker.expect("message", within_s=5)
        deaf.connection.transport.abort()


async def test_a_reader_over_http2_that_takes_nothing_is_dropped_too(shared_server: Server) -> None:
    async with Http(shared_server) as http:
        ann, bob = await http.register(), await http.register()
        room = await http.create_room(ann)
        await http.join(bob, room["id"])
        async with h2_socket(shared_server.port, token=bob.access_token):  # its window is 64 KiB, and stays shut
            dropped_before = measured(shared_server, DROPPED)
            for _ in range(90):
                await http.send(ann, room["id"], "🍕" * 4000)
            wait_until(lambda: measured(shared_server, DROPPED) > dropped_before, within_s=20)


def narrow(server: Server) -> socket.socket:
    """A connection whose kernel takes little that is not read; by default it is several MiB."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", server.port))
    return narrow


def measured(server: Server, name: str) -> int:
    """One figure of `/metrics`; 0 if it is not there yet."""
    lines = httpx.get(f"{server.url}/metrics", verify=NO_TLS).text.splitlines()
    return int(float(next((line.split()[1] for line in lines if line.startswith(f"{name} ")), 0)))


async def test_a_line_break_in_a_path_does_not_reach_the_log(ann: Account) -> None:
    async with Http(ann.server) as http:
        answer = await http.call("GET", "/rooms/secret%0aname/messages?query=private", by=ann)
        assert answer.status_code == 404
    log = ann.server.log()
    assert "/rooms/<room_id>/messages" in log
    assert not any(word in log for word in ("secret", "private", ann.access_token, ann.username))


async def test_an_answer_before_the_whole_body_is_not_lost_to_a_reset(ann: Account) -> None:
    async with Http(ann.server) as http:
        for headers in (ann.headers, {}):
            body = b"x" * 3_000_000
            answer = await http.call("POST", "/rooms", headers=headers, content=body)
            assert answer.status_code == (413 if headers else 401)


@pytest.mark.slow
async def test_a_slow_head_is_given_up(shared_server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared_server.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    writer.close()


async def test_an_ended_peer_is_forgotten_at_once(shared_server: Server) -> None:
    def descriptors() -> int:
        return len(list(Path(f"/proc/{shared_server.pid}/fd").iterdir()))

    async with Http(shared_server) as http:
        await http.call("GET", "/healthz")
        before = descriptors()
        for _ in range(20):
            async with Http(shared_server) as once:
                await once.call("GET", "/healthz")
        wait_until(lambda: descriptors() <= before + 2, within_s=5)


async def test_sends_of_one_connection_are_acknowledged_in_order(ann: Account) -> None:
    async with Http(ann.server) as http:
        room = await http.create_room(ann)
    async with connected(ann) as peer:
        asked = []
        for place in range(200):
            name = f"{nonce('m')}"
            asked.append(name)
            kind = "message" if place % 7 else "ping"
            room_id = room["id"] if place % 5 else "r_nowhere"
            await peer.send({"type": kind, "id": name, "room_id": room_id, "content": f"{place}"})
        answered = [frame["re"] for frame in await _answers(peer, len(asked))]
        assert answered == asked
        acked = [f["message"]["id"] for f in peer.seen if f["type"] == "ack"]
        heard = [f["message"]["id"] for f in peer.seen if f["type"] == "message"]
        assert heard == acked[: len(heard)]
        for message_id in heard:  # the ack comes before the sender's own copy
            places = [place for place, f in enumerate(peer.seen) if f.get("message", {}).get("id") == message_id]
            assert peer.seen[places[0]]["type"] == "ack"


async def _answers(peer: Socket, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        frame = await peer.receive()
        if "re" in frame:
            found.append(frame)
    return found
