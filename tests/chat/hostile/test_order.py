"""Every call checks in the contract's order, and judges each field of its body alike: walked from the route table."""

import json
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chat.protocol.commands import COMMANDS, Body
from chat.web.routes import ROUTES
from chat.web.routing import Route
from tests.chat.hostile.wire import Answer, ask, request
from tests.chat.server import Account, Http, Server, connected

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


COMMAND_KINDS = [pytest.param(tag, kind, id=tag) for tag, kind in COMMANDS.items()]
ODD_IDS: tuple[Any, ...] = (None, 7, 1.0, True, [], {}, "", "a" * 65, "a\x00", "\ud800", "é", "a\n", "\x7f")


@pytest.mark.parametrize(("tag", "kind"), COMMAND_KINDS)
async def test_a_frame_is_judged_field_by_field_like_a_body(ann: Account, tag: str, kind: type[Body]) -> None:
    hints = typing.get_type_hints(kind)
    shape = [found for found in fields(kind) if found[0] != "id"]
    good: dict[str, Any] = {"type": tag, "id": "x"} | {n: _fitting(hints[n]) for n, _, _ in shape}
    async with connected(ann) as peer:

        async def told(frame: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
            await peer.send(json.dumps(frame))
            while "re" not in (answer := await peer.receive()):
                pass
            return answer["re"], answer.get("code"), answer.get("field")

        for odd in ODD_IDS:
            re, code, field = await told(good | {"id": odd})
            assert (re, field) == (None, "id"), odd
            assert code in {"missing_field", "invalid_field", "invalid_unicode"}, odd
        assert await told({k: v for k, v in good.items() if k != "id"}) == (None, "missing_field", "id")
        for name, hint, required in shape:
            nullable = type(None) in typing.get_args(hints[name])
            if required:
                assert await told({k: v for k, v in good.items() if k != name}) == ("x", "missing_field", name)
            if not nullable:
                assert await told(good | {name: None}) == ("x", "missing_field", name)
            for wrong in WRONG[hint]:
                if not isinstance(wrong, dict) or typing.get_origin(hints[name]) is not dict:
                    assert await told(good | {name: wrong}) == ("x", "invalid_field", name), wrong
        assert (await told(good | {"id": "a" * 64}))[0] == "a" * 64
        assert (await told(good | {"id": " ~"}))[0] == " ~"


def _fitting(hint: Any) -> Any:
    if typing.get_origin(hint) is dict:
        return {}
    return 1 if hint is int else "r_nowhere"


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        ("", (None, "invalid_json", None)),
        ("null", (None, "invalid_json", None)),
        ('"x"', (None, "invalid_json", None)),
        ('{"type":"ping","id":"x"}{}', (None, "invalid_json", None)),
        ('\ufeff{"type":"ping","id":"x"}', (None, "invalid_json", None)),
        ('{"type":"ping","id":"x","y":NaN}', (None, "invalid_json", None)),
        ("[" * 60_000, (None, "invalid_json", None)),
        ('{"id":"x","y":' + '{"a":' * 9_000 + "1" + "}" * 9_001, (None, "invalid_json", None)),
        ('{"id":"x"}', ("x", "missing_field", "type")),
        ('{"type":null,"id":"x"}', ("x", "missing_field", "type")),
        ('{"type":7,"id":"x"}', ("x", "invalid_field", "type")),
        ('{"type":"","id":"x"}', ("x", "unknown_type", "type")),
        ('{"type":"Ping","id":"x"}', ("x", "unknown_type", "type")),
        ('{"type":"\\ud800","id":"x"}', ("x", "invalid_unicode", "type")),
        ('{"type":"nonsense"}', (None, "missing_field", "id")),
        ('{"type":"read","id":"x","room_id":"r_1","seq":-1}', ("x", "invalid_field", "seq")),
        ('{"type":"read","id":"x","room_id":"r_1","seq":1' + "0" * 400 + "}", ("x", "room_not_found", None)),
        ('{"type":"ping","id":"y","id":"x"}', ("x", None, None)),
        ('{"\\u0074ype":"ping","id":"\\u0078"}', ("x", None, None)),
        ('{"type":"ping","id":"x","y":"\\ud800\\u0000"}', ("x", None, None)),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_a_frame_that_is_odd_as_a_whole(
    ann: Account, frame: str, told: tuple[str | None, str | None, str | None]
) -> None:
    async with connected(ann) as peer:
        await peer.send(frame)
        answer = await peer.receive()
        assert (answer["re"], answer.get("code"), answer.get("field")) == told
        assert (await peer.ask("ping"))["type"] == "pong"


@pytest.mark.parametrize("sign", ["", "-"])
async def test_a_number_of_any_length_is_json_and_no_value_of_a_field(
    shared_server: Server, ann: Account, sign: str
) -> None:
    number = sign + "9" * 5_000
    for body, told in (
        (f'{{"name":{number}}}', "invalid_field"),
        (f'{{"x":{number},"name":null}}', "missing_field"),
        (f'{{"x":{number},"name":""}}', "name_empty"),
    ):
        answer = await ask(shared_server, request("POST", "/rooms", body=body.encode(), token=ann.access_token))
        assert refusal(answer) == (400, told)
        assert answer.json["field"] == "name"
    async with connected(ann) as socket:
        await socket.connection.send(f'{{"type":"read","id":"long","room_id":"r_nowhere","seq":{number}}}')
        told_frame = await socket.expect("error")
        assert (told_frame["re"], told_frame["code"], told_frame["field"]) == ("long", "invalid_field", "seq")


async def test_a_refusal_names_what_was_given_and_what_to_do(shared_server: Server, ann: Account) -> None:
    async with Http(shared_server) as http:
        told = [
            (await http.call("GET", "/rooms?limit=0", by=ann), ("limit", "100", "'0'")),
            (await http.call("GET", "/rooms/r_1/members?online=maybe", by=ann), ("online", "true", "'maybe'")),
            (
                await http.call("GET", "/me", by=ann, headers=dict(EVIL)),
                ("https://evil.example", "CHAT_ALLOWED_ORIGINS"),
            ),
            (await http.call("GET", "/me", headers={"Authorization": "Bearer x"}), ("access token", "sign in")),
            (await http.call("POST", "/auth/refresh", json={"refresh_token": "x"}), ("refresh token", "sign in")),
            (await http.call("PUT", "/messages/m_1/reactions/tea", by=ann), ("one emoji", "'tea'")),
        ]
        for answer, words in told:
            assert [word for word in words if word not in answer.json()["detail"]] == []
    async with connected(ann) as socket:
        detail = (await socket.ask("shout"))["detail"]
        assert "'shout'" in detail
        assert "message" in detail
