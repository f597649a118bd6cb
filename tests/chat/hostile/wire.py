"""HTTP/1.1 by hand, pipelined: thousands of calls in seconds, and bytes that no well-behaved client would send."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chat.protocol.errors import MEANINGS, Code
from tests.chat.contract import JSON, PROBLEM
from tests.chat.server import ANSWER_S, Server

WINDOW = 32  # requests under way on one connection


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None where there is none."""
        return json.loads(self.body) if self.body else None

    @property
    def code(self) -> str | None:
        """The contract's code of a refusal; None for anything else."""
        return str(self.json["code"]) if self.status >= 400 else None

    def check(self, what: object) -> None:
        """The contract allows it."""
        assert self.status < 500, (what, self)
        if self.status >= 400:
            assert self.headers["content-type"] == PROBLEM, (what, self)
            assert MEANINGS[Code(self.json["code"])].status == self.json["status"] == self.status, (what, self)
        elif self.body:
            assert self.headers["content-type"] == JSON, (what, self)


def request(
    method: str, target: str, *, token: str | None = None, body: Any = None, headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """The bytes of one request; *body* is sent as JSON in UTF-8, escaped only where UTF-8 cannot carry it."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    raw = b""
    if body is not None:
        raw = body if isinstance(body, bytes) else as_json(body)
        lines += ["Content-Type: application/json", f"Content-Length: {len(raw)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + raw


def as_json(value: Any) -> bytes:
    """JSON in UTF-8; with escapes where a lone surrogate is in it."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
    if headers.get("transfer-encoding") == "chunked":
        raise AssertionError("answers have a length")
    return Answer(int(head[0].split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def ask(server: Server, raw: bytes) -> Answer:
    """One request on a connection of its own."""
    return (await _pipelined(server, [raw]))[0]


async def pipelined(server: Server, requests: Sequence[bytes], *, connections: int = 2) -> list[Answer]:
    """The answers to *requests*, in their order; they are sent without waiting for the answers before."""
    share = -(-len(requests) // connections) or 1
    parts = [requests[start : start + share] for start in range(0, len(requests), share)]
    answered = await asyncio.gather(*(_pipelined(server, part) for part in parts))
    return [answer for part in answered for answer in part]


async def _pipelined(server: Server, requests: Sequence[bytes]) -> list[Answer]:
    answers: list[Answer] = []
    while len(answers) < len(requests):
        before = len(answers)
        await _on_one_connection(server, requests[before:], answers)
        assert len(answers) > before, ("closed without an answer", requests[before][:300])
    return answers


async def _on_one_connection(server: Server, requests: Sequence[bytes], answers: list[Answer]) -> None:
    """Ask until all is answered or an answer says that it is the connection's last."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        sent = 0
        for place in range(len(requests)):
            while sent < min(len(requests), place + WINDOW):
                writer.write(requests[sent])
                sent += 1
            answer = await asyncio.wait_for(read_answer(reader), ANSWER_S)
            answers.append(answer)
            if answer.headers.get("connection") == "close":
                return
    finally:
        writer.transport.abort()
