"""Walks the types that are received: every string in them passes the gate, and no value in any field is our bug."""

import contextlib
import json
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from chat.protocol import commands, openapi
from chat.protocol.commands import COMMANDS, Body
from chat.protocol.errors import Code, Fault, InvalidText
from chat.web.routes import ROUTES
from chat.web.socket.reader import Refused, read

FORBIDDEN = ("\ud800", "a\udfffb", "\x00", "a\x00b")
ODD: tuple[Any, ...] = (
    *FORBIDDEN, "", [], ["\ud800"], {}, {"\ud800": 1}, {"a": "\ud800"}, {"a": ["\x00"]}, 0, -1, 1.5, 2**63, 2**64,
    10**400, 1e308, True, False, None, [[[[]]]], {"a": {"\ud800": {}}}, "\ud83d\udc4d",
)  # fmt: skip


def bodies() -> dict[str, type[Body]]:
    """Every type of body and frame that a client can send, by name."""
    found = {kind.__name__: kind for kind in Body.__subclasses__()}
    used = [*COMMANDS.values(), *(route.takes for route in ROUTES if route.takes is not None)]
    assert {kind.__name__ for kind in used} <= found.keys()
    return found


def good(hint: Any) -> Any:
    """Some value that fits *hint*."""
    if str in (hint, *typing.get_args(hint)):
        return "x"
    return {"x": 1} if typing.get_origin(hint) is dict else 1


def filled(kind: type[Body]) -> dict[str, Any]:
    """A body of *kind* with every field."""
    hints = typing.get_type_hints(kind)
    tag = kind.__struct_config__.tag
    return {f.name: good(hints[f.name]) for f in msgspec.structs.fields(kind)} | ({"type": tag} if tag else {})


def strings(kind: type[Body]) -> Iterator[tuple[str, Any]]:
    """Each place for a string in *kind*: the field, and the body's value for it with `@` where the string goes."""
    hints = typing.get_type_hints(kind)
    for found in msgspec.structs.fields(kind):
        hint = hints[found.name]
        if str in (hint, *typing.get_args(hint)):
            yield found.name, {"@": 1} if typing.get_origin(hint) is dict else "@"


PLACES = [(kind, field, shape) for kind in bodies().values() for field, shape in strings(kind)]


def test_the_walk_finds_the_fields_of_the_contract() -> None:
    found = {f"{kind.__name__}.{field}" for kind, field, _ in PLACES}
    assert {"SendMessage.content", "SendMessage.client_id", "Resume.epoch", "Resume.rooms", "Login.password"} <= found
    assert len(found) >= 30


@pytest.mark.parametrize(("kind", "field", "shape"), PLACES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_every_string_field_passes_the_gate(kind: type[Body], field: str, shape: Any) -> None:
    for forbidden in FORBIDDEN:
        value = forbidden if shape == "@" else {forbidden: 1}
        raw = json.dumps(filled(kind) | {field: value}).encode()
        with pytest.raises(InvalidText) as refused:
            commands.decode(raw, kind)
        assert (refused.value.code, refused.value.field) == (Code.INVALID_UNICODE, field)
        if kind in COMMANDS.values():
            answer = read(raw)
            assert isinstance(answer, Refused)
            assert (answer.fault.code, answer.fault.field) == (Code.INVALID_UNICODE, field)
            assert answer.re == (None if field == "id" else "x")


@pytest.mark.parametrize("kind", bodies().values(), ids=lambda kind: kind.__name__)
def test_no_json_value_in_any_field_is_our_bug(kind: type[Body]) -> None:
    for field in filled(kind):
        for value in ODD:
            raw = json.dumps(filled(kind) | {field: value}).encode()
            with contextlib.suppress(Fault):
                commands.decode(raw, kind)
            if kind in COMMANDS.values() and isinstance(answer := read(raw), Refused):
                str(answer.fault).encode()  # can be sent


CONTRACT = """
POST /auth/register · POST /auth/login · POST /auth/refresh · POST /auth/logout · POST /auth/password
GET /auth/sessions · DELETE /auth/sessions/{session_id} · DELETE /auth/sessions · POST /auth/ws-ticket
GET /me · DELETE /me · GET /me/rooms · POST /rooms · GET /rooms · GET /rooms/{room_id} · PATCH /rooms/{room_id}
DELETE /rooms/{room_id} · POST /rooms/{room_id}/join · POST /rooms/{room_id}/leave
DELETE /rooms/{room_id}/members/{user_id} · GET /rooms/{room_id}/members · GET /rooms/{room_id}/messages
POST /rooms/{room_id}/messages · POST /rooms/{room_id}/read · GET /rooms/{room_id}/events
PUT /messages/{message_id}/reactions/{emoji} · DELETE /messages/{message_id}/reactions/{emoji}
GET /healthz · GET /readyz · GET /version · GET /metrics · GET /openapi.json · GET /asyncapi.json · GET /chat
"""


def test_there_is_no_way_in_but_those_of_the_contract() -> None:
    wanted = {call.strip() for line in CONTRACT.strip().splitlines() for call in line.split("·")}
    document = openapi.document(ROUTES, version="0")
    assert {f"{method.upper()} {path}" for path, calls in document["paths"].items() for method in calls} == wanted
    public = {f"{route.method} {route.path}" for route in ROUTES if route.public}
    assert public == {
        *("POST /auth/register", "POST /auth/login", "POST /auth/refresh"),
        *("GET /healthz", "GET /readyz", "GET /version", "GET /metrics", "GET /openapi.json", "GET /asyncapi.json"),
    }
