"""One HTTP call: what a handler may ask of the request, and the answers it may give."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from quart import Request, Response

from chat import text
from chat.protocol.commands import Body, decode
from chat.protocol.errors import Code, InvalidField, InvalidText, PayloadTooLarge, Unauthorized, UnsupportedMediaType
from chat.protocol.log import Who
from chat.protocol.models import Wire
from chat.protocol.openapi import Query
from chat.web.peers import user_agent_of
from chat.web.site import Site

B = TypeVar("B", bound=Body)

MAX_BODY_BYTES = 64 * 1024
MAX_NUMBER = 2**53 - 1  # beyond it JSON numbers are not exact everywhere
BODY_TIMEOUT_S = 15

LIMIT = Query(name="limit", schema={"type": "integer", "minimum": 1, "maximum": 100})

_encoder = msgspec.json.Encoder()


@dataclass(slots=True)
class Call:
    """A call that has passed origin, authentication, rate and size."""

    site: Site
    request: Request
    address: str
    origin: str | None
    signed_in: Who | None
    raw: bytes
    _asked: dict[str, str] | None = field(default=None, init=False)

    @property
    def who(self) -> Who:
        """Who calls; only calls that need no session may find nobody."""
        if self.signed_in is None:
            raise Unauthorized("sign in first")
        return self.signed_in

    @property
    def user_agent(self) -> str:
        """What the client calls itself."""
        return user_agent_of(self.request.headers)

    def body(self, kind: type[B]) -> B:
        """The body as *kind*; raises `UnsupportedMediaType` and what `decode` raises."""
        if self.request.mimetype != "application/json":
            raise UnsupportedMediaType("send the body as Content-Type: application/json")
        return decode(self.raw, kind)

    def query(self, name: str) -> str | None:
        """One query parameter, the first of that name."""
        if self._asked is None:
            raw = self.request.query_string.decode("ascii", "surrogateescape")
            pairs = parse_qsl(raw, keep_blank_values=True, errors="surrogateescape")  # the gate refuses no UTF-8
            self._asked = dict(reversed(pairs))
        value = self._asked.get(name)
        try:
            return text.gate(value) if value is not None else None
        except text.TextFault as fault:
            raise InvalidText(Code(fault.code), str(fault), field=name) from fault

    def query_number(self, name: str, *, least: int, most: int = MAX_NUMBER) -> int | None:
        """One query parameter as a whole number within bounds; raises `InvalidField`."""
        raw = self.query(name)
        if raw is None:
            return None
        if not (raw.isascii() and raw.isdigit() and len(raw) <= 16 and least <= int(raw) <= most):
            raise InvalidField(name, f"{name} is a whole number from {least} to {most}, not {raw[:40]!r}")
        return int(raw)

    def query_flag(self, name: str) -> bool:
        """One query parameter as true or false (absent: false); raises `InvalidField`."""
        raw = self.query(name)
        if raw not in {None, "true", "false"}:
            raise InvalidField(name, f"{name} is true or false, not {(raw or '')[:40]!r}")
        return raw == "true"

    @property
    def limit(self) -> int | None:
        """The page size asked for."""
        return self.query_number("limit", least=1, most=100)


async def read_body(request: Request) -> bytes:
    """The body, at most `MAX_BODY_BYTES`; raises `PayloadTooLarge`."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise PayloadTooLarge(f"a body may have {MAX_BODY_BYTES} bytes")
    raw: bytes = await asyncio.wait_for(request.body, BODY_TIMEOUT_S)
    return raw


def ok(answer: Wire, status: int = 200) -> Response:
    """*answer* as JSON."""
    return Response(_encoder.encode(answer), status, content_type="application/json")


def created(answer: Wire) -> Response:
    """*answer* as JSON, 201."""
    return ok(answer, 201)


def done() -> Response:
    """204, nothing to say."""
    return Response(b"", 204)


def json_document(document: Any) -> Response:
    """A ready document as JSON."""
    return Response(_encoder.encode(document), content_type="application/json")
