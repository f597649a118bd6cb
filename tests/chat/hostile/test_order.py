"""Every call checks in the contract's order, and judges each field of its body alike: walked from the route table."""

import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chat.protocol.commands import Body
from chat.web.routes import ROUTES
from chat.web.routing import Route
from tests.chat.hostile.wire import Answer, ask, request
from tests.chat.server import Account, Http, Server

EVIL = [("Origin", "https://evil.example")]
BIG = b"x" * 70_000
NOWHERE = {"room_id": "r_nowhere", "user_id": "u_nobody", "message_id": "m_none", "session_id": "s_none"}
OPEN = ("/healthz", "/readyz", "/version", "/metrics", "/openapi.json", "/asyncapi.json")
WRONG: dict[Any, tuple[Any, ...]] = {str: (1, 1.5, True, [], {}), int: ("1", 1.0, 1.5, True, [], {}, float("1e300"))}

CALLS = [pytest.param(route, id=f"{route.method} {route.path}") for route in ROUTES]
WITH_BODY = [pytest.param(route, id=f"{route.method} {route.path}") for route in ROUTES if route.takes is not None]


@pytest.fixture
async def ann(shared_server: Server) -> Account:
    async with Http(shared_server) as http:
        return await http.register()


def target(route: Route) -> str:
    """The path of *route* with ids of nothing in its places."""
    path = route.path.replace("<emoji>", "%F0%9F%8D%95")
    for name, value in NOWHERE.items():
        path = path.replace(f"<{name}>", value)
    return path


def refusal(answer: Answer) -> tuple[int, str | None]:
    answer.check(answer)
    return answer.status, answer.code


@pytest.mark.parametrize("route", CALLS)
async def test_the_path_the_method_the_origin_and_the_session_come_first(shared_server: Server, route: Route) -> None:
    path = target(route)

    async def told(method: str, path: str) -> tuple[int, str | None]:
        return refusal(await ask(shared_server, request(method, path, headers=EVIL, body=BIG, token="nonsense")))

    assert await told(route.method, f"/nowhere{path}") == (404, "not_found")
    assert await told("BREW", path) == (405, "method_not_allowed")
    assert await told(route.method, path) == (403, "origin_not_allowed")
    for token in (None, "nonsense", "a.b.c"):
        answer = await ask(shared_server, request(route.method, path, body=BIG, token=token))
        if route.path in OPEN:
            assert answer.status == 200
        elif route.public:
            assert refusal(answer) == (413, "payload_too_large")
        else:
            assert refusal(answer) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "bearer"  # the helper reads headers in lower case


@pytest.mark.parametrize("route", WITH_BODY)
async def test_then_the_size_the_type_and_the_json(ann: Account, route: Route) -> None:
    def sent(body: bytes, kind: str | None = "application/json") -> bytes:
        plain = request(route.method, target(route), body=body, token=ann.access_token)
        wanted = b"" if kind is None else f"Content-Type: {kind}\r\n".encode()
        return plain.replace(b"Content-Type: application/json\r\n", wanted)

    for body, kind, told in (
        (BIG, "text/plain", (413, "payload_too_large")),
        (b"{}", "text/plain", (415, "unsupported_media_type")),
        (b"{}", None, (415, "unsupported_media_type")),
        (b"", "application/json", (400, "invalid_json")),
        (b"[]", "application/json; charset=utf-8", (400, "invalid_json")),
        (b"{}", "Application/JSON;x=y", (400, "missing_field")),
    ):
        assert refusal(await ask(ann.server, sent(body, kind))) == told, (body[:9], kind)


def fields(kind: type[Body]) -> Iterator[tuple[str, Any, bool]]:
    """Each field of a body: its name, its type, whether it must be there."""
    hints = typing.get_type_hints(kind)
    for found in msgspec.structs.fields(kind):
        hint = hints[found.name]
        yield found.name, hint if hint in WRONG else str, found.required


@pytest.mark.parametrize("route", WITH_BODY)
async def test_then_the_fields_in_turn_before_what_exists(ann: Account, route: Route) -> None:
    assert route.takes is not None
    shape = list(fields(route.takes))
    good: dict[str, Any] = {name: 1 if kind is int else "good enough" for name, kind, _ in shape}

    async def told(body: dict[str, Any]) -> tuple[str | None, str | None]:
        answer = await ask(ann.server, request(route.method, target(route), body=body, token=ann.access_token))
        assert answer.status == 400, answer
        return answer.code, answer.json.get("field")

    for name, kind, required in shape:
        if required:
            assert await told({k: v for k, v in good.items() if k != name}) == ("missing_field", name)
        assert await told(good | {name: None}) == ("missing_field", name)
        for wrong in WRONG[kind]:
            assert await told(good | {name: wrong}) == ("invalid_field", name), wrong
        if kind is str:
            for forbidden in ("\ud800", "a\x00b"):
                assert await told(good | {name: forbidden}) == ("invalid_unicode", name)
    first, *others = (name for name, _, required in shape if required)
    assert await told({}) == ("missing_field", first)
    assert await told({name: [] for name in others}) == ("missing_field", first)
