"""Requests that no well-behaved client sends: each gets a whole problem, none a 5xx or a reset, nothing leaks."""

import asyncio
import json

import pytest

from tests.chat.contract import PROBLEM
from tests.chat.hostile.attackers import PING, PONG, TEXT, Raw, command, frame, handshake, upgraded
from tests.chat.hostile.wire import ask, read_answer, request
from tests.chat.server import ANSWER_S, NO_TLS, Account, Http, Server, wait_until

JSON_POST = "POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
GET = "GET /healthz HTTP/1.1\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n"
BAD, UNKNOWN, METHOD, BIG, STRANGER = (
    (400, "invalid_field"),
    (404, "not_found"),
    (405, "method_not_allowed"),
    (413, "payload_too_large"),
    (401, "unauthorized"),
)


@pytest.fixture
async def ann(shared_server: Server) -> Account:
    async with Http(shared_server) as http:
        return await http.register()


async def said(server: Server, raw: bytes) -> tuple[int, bytes]:
    """The status and body of the answer to *raw*, which comes whole."""
    answer = await asyncio.wait_for(ask(server, raw), ANSWER_S)
    if answer.status >= 400:
        assert answer.headers["content-type"] == PROBLEM
        assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.status, answer.body


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        ("NONSENSE\r\n", BAD),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", BAD),  # TLS
        ("GET /healthz\r\n", BAD),
        ("GET /healthz HTTP/2.0\r\nHost: a\r\n", BAD),
        ("GET healthz HTTP/1.1\r\nHost: a\r\n", BAD),
        ("GET ? HTTP/1.1\r\nHost: a\r\n", BAD),
        ("GET http://[/nowhere HTTP/1.1\r\nHost: a\r\n", UNKNOWN),
        ("GET /\xff HTTP/1.1\r\nHost: a\r\n", BAD),
        ("GET /me?\xff HTTP/1.1\r\nHost: a\r\n", BAD),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n", BAD),
        (GET, BAD),
        (f"{GET}Host: a\r\nHost: b\r\n", BAD),
        (f"{GET}Host: a b\r\n", BAD),
        (f"{GET}Host: a/b\r\n", BAD),
        (f"{GET}Host: user@a\r\n", BAD),
        (f"{GET}Host: [::1\r\n", BAD),
        (f"{GET}Host: a:b\r\n", BAD),
        (f"{GET}Host: a..b\r\n", BAD),
        (f"{GET}Host: {'a' * 64}.b\r\n", BAD),
        (f"{GET}Host: b.{'a' * 64}\r\n", BAD),
        (f"{GET}Host: {'a.' * 200}b\r\n", BAD),
        (f"{GET}Host: \xff\r\n", BAD),
        (f"{GET}Host : a\r\n", BAD),
        (f"{GET}Host: a\r\nX: \x00\r\n", BAD),
        (f"{GET}Host: a\r\nX: {'x' * 40_000}\r\n", BIG),
        (f"{GET}Host: a\r\n" + "X: y\r\n" * 10_000, BIG),
        (f"GET /{'x' * 40_000} HTTP/1.1\r\nHost: a\r\n", BIG),
        (f"GET /{'x' * 20_000} HTTP/1.1\r\nHost: a\r\n", UNKNOWN),
        (f"{JSON_POST}Content-Length: x\r\n", BAD),
        (f"{JSON_POST}Content-Length: -1\r\n", BAD),
        (f"{JSON_POST}Content-Length: +2\r\n", BAD),
        (f"{JSON_POST}Content-Length: 2\r\nContent-Length: 3\r\n", BAD),
        (f"{JSON_POST}Content-Length: {'9' * 5000}\r\n", BAD),
        (f"{JSON_POST}Content-Length: 99999999999\r\n", BIG),
        (f"{JSON_POST}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", BAD),
        (f"{JSON_POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", BAD),
        (f"{JSON_POST}Transfer-Encoding: gzip, chunked\r\n", BAD),
        ("POST /auth/login HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", BAD),
        (f"{JSON_POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n", BAD),
        (f"{JSON_POST}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}zz\r\n", BAD),
        ("TRACE /healthz HTTP/1.1\r\nHost: a\r\n", METHOD),
        ("BREW /healthz HTTP/1.1\r\nHost: a\r\n", METHOD),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n", UNKNOWN),
        ("GET //healthz HTTP/1.1\r\nHost: a\r\n", UNKNOWN),
        ("GET /me//rooms HTTP/1.1\r\nHost: a\r\n", UNKNOWN),
        ("POST /auth%2Flogin HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n", UNKNOWN),
        ("GET /rooms/a%2fmessages HTTP/1.1\r\nHost: a\r\n", STRANGER),
        ("GET /%zz HTTP/1.1\r\nHost: a\r\n", UNKNOWN),
        ("GET /%ff%00 HTTP/1.1\r\nHost: a\r\n", UNKNOWN),
        (f"GET /nowhere HTTP/1.1\r\nHost: a\r\n{UPGRADE}", UNKNOWN),
        (f"GET /me HTTP/1.1\r\nHost: a\r\n{UPGRADE}", UNKNOWN),
        (f"POST /chat HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n{UPGRADE}", METHOD),
        (f"GET /chat HTTP/1.1\r\nHost: a\r\n{UPGRADE}", STRANGER),
        (f"GET /chat HTTP/1.1\r\nHost: a\r\n{UPGRADE}Sec-WebSocket-Protocol: \xff\r\n", STRANGER),
        (f"GET /chat HTTP/1.1\r\nHost: a\r\n{UPGRADE}Connection: \xff\r\n", STRANGER),
        ("GET /me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\xfe\r\n", STRANGER),
    ],
)  # fmt: skip
async def test_a_bad_request_gets_a_whole_problem(shared_server: Server, head: str, refusal: tuple[int, str]) -> None:
    status, body = await said(shared_server, f"{head}\r\n".encode("latin-1"))
    assert (status, json.loads(body)["code"]) == refusal


@pytest.mark.parametrize(
    "head",
    [
        "GET /healthz HTTP/1.0\r\n",
        "GET http://127.0.0.1/healthz?x HTTP/1.1\r\nHost: a\r\n",
        "GET /%68ealthz HTTP/1.1\r\nHost: a\r\n",
        f"{GET}Host: \r\n",
        f"{GET}Host: [::1]:80\r\n",
        f"{GET}Host: {'a' * 63}.example.\r\n",
        f"{GET}Host: xn--\r\n",
        f"{GET}Host: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        f"{GET}Host: a\r\nExpect: something\r\n",
    ],
)
async def test_an_unusual_request_is_served(shared_server: Server, head: str) -> None:
    assert await said(shared_server, f"{head}\r\n".encode()) == (200, b'{"status":"ok"}')


async def test_a_refusal_is_not_lost_to_a_reset(shared_server: Server) -> None:
    endless = f"{GET}Host: a\r\n".encode() + b"X: y\r\n" * 500_000
    assert (await said(shared_server, endless + b"\r\n"))[0] == 413


async def test_a_refusal_of_a_request_that_has_come_whole_leaves_the_connection_open(shared_server: Server) -> None:
    body = {"name": "x" * 12_000}
    for _ in range(5):
        answer = await ask(shared_server, request("POST", "/rooms", body=body))
        assert (answer.status, answer.headers.get("connection")) == (401, None)


async def test_a_refused_head_has_no_body(shared_server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared_server.port)
    writer.write(b"HEAD /healthz HTTP/1.1\r\nHost: a b\r\n\r\n")
    whole = await asyncio.wait_for(reader.read(), ANSWER_S)
    assert whole.startswith(b"HTTP/1.1 400 ")
    assert whole.endswith(b"\r\n\r\n")
    writer.close()


async def test_a_body_is_asked_for_and_then_judged(shared_server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared_server.port)
    writer.write(f"{JSON_POST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    writer.write(b"{}")
    assert (await read_answer(reader)).code == "missing_field"
    writer.close()


@pytest.mark.parametrize(
    "spoilt", ["Sec-WebSocket-Version: 8", "Sec-WebSocket-Protocol: \xff", "Transfer-Encoding: chunked"]
)
async def test_a_handshake_that_cannot_be_is_told_so(ann: Account, spoilt: str) -> None:
    name = spoilt.partition(":")[0].encode()
    lines = [line for line in handshake(ann).split(b"\r\n") if line and not line.startswith(name)]
    answer = await ask(ann.server, b"\r\n".join([*lines, spoilt.encode("latin-1"), b"", b"0\r\n\r\n"]))
    assert (answer.status, answer.code) == (400, "invalid_field")
    assert answer.headers["sec-websocket-version"] == "13"


async def test_frames_sent_before_the_upgrade_is_answered_are_answered_after_it(ann: Account) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ann.server.port)
    writer.write(handshake(ann) + frame(PING, b"early") + command("ping"))
    assert (await read_answer(reader)).status == 101
    raw = Raw(reader, writer)
    heard = [await raw.read() for _ in range(3)]
    assert {opcode for opcode, _ in heard} == {TEXT, PONG}
    assert [json.loads(payload)["type"] for opcode, payload in heard if opcode == TEXT] == ["hello", "pong"]
    writer.write(frame(2, b"binary"))
    assert await raw.close_code() == 1003
    writer.close()


async def test_frames_without_end_before_the_upgrade_leave_nothing_behind(ann: Account) -> None:
    answer = await ask(ann.server, handshake(ann) + command("ping") * 10_000)
    assert answer.status in {101, 413}  # as fast as the session is looked up
    wait_until(lambda: _connections(ann.server) == 0, within_s=5)


def _connections(server: Server) -> float:
    import httpx

    lines = httpx.get(f"{server.url}/metrics", verify=NO_TLS).text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("chat_connections ")))


async def test_a_list_in_several_lines_is_one_list(ann: Account) -> None:
    first, second = "Sec-WebSocket-Protocol: chat.v1", f"Sec-WebSocket-Protocol: bearer.{ann.access_token}"
    for lines in ((first, second), (second, first)):
        raw = f"GET /chat HTTP/1.1\r\nHost: a\r\n{UPGRADE}" + "\r\n".join([*lines, "", ""])
        answer = await ask(ann.server, raw.encode())
        assert (answer.status, answer.headers["sec-websocket-protocol"]) == (101, "chat.v1")


async def test_a_slash_in_a_name_is_no_separator(ann: Account) -> None:
    for method, target, refusal in (
        ("GET", "/rooms/a%2Fb", (404, "room_not_found")),
        ("PUT", "/messages/m_x/reactions/%2F", (400, "invalid_emoji")),
        ("DELETE", "/auth/sessions/%2f", (404, "not_found")),
    ):
        answer = await ask(ann.server, request(method, target, token=ann.access_token, body=b""))
        assert (answer.status, answer.code) == refusal, target


@pytest.mark.slow
async def test_connections_that_only_begin_http_2_are_let_go(shared_server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared_server.port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"nonsense" * 100)
    async with asyncio.timeout(30):
        await reader.read()
    writer.close()


async def test_a_socket_after_all_of_this_works(ann: Account) -> None:
    async with upgraded(ann.server, ann) as raw:
        assert json.loads((await raw.read())[1])["type"] == "hello"
