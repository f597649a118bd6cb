"""What clients send: WebSocket commands and HTTP bodies, and the one reader that turns bytes into them.

Limits on text are not here: the text policy judges strings, this judges shape.
"""

import json
import typing
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from chat import text
from chat.protocol.errors import Code, InvalidField, InvalidJson, InvalidText, MissingField


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that is received; unknown fields are ignored."""


# WebSocket commands. `id` is the client's name for the command; the answer carries it in `re`.


class SendMessage(Body, frozen=True, tag_field="type", tag="message"):
    id: str
    room_id: str
    content: str
    client_id: str | UnsetType = UNSET


class React(Body, frozen=True, tag_field="type", tag="react"):
    id: str
    message_id: str
    emoji: str


class Unreact(Body, frozen=True, tag_field="type", tag="unreact"):
    id: str
    message_id: str
    emoji: str


class View(Body, frozen=True, tag_field="type", tag="view"):
    id: str
    room_id: str | None


class Read(Body, frozen=True, tag_field="type", tag="read"):
    id: str
    room_id: str
    seq: int


class StartTyping(Body, frozen=True, tag_field="type", tag="typing"):
    id: str
    room_id: str


class Resume(Body, frozen=True, tag_field="type", tag="resume"):
    id: str
    epoch: str
    rooms: dict[str, int]


class Auth(Body, frozen=True, tag_field="type", tag="auth"):
    id: str
    access_token: str


class Ping(Body, frozen=True, tag_field="type", tag="ping"):
    id: str


Command = SendMessage | React | Unreact | View | Read | StartTyping | Resume | Auth | Ping
COMMANDS: dict[str, type[Body]] = {
    str(kind.__struct_config__.tag): kind for kind in typing.cast("tuple[type[Body], ...]", typing.get_args(Command))
}

# HTTP bodies.


class Register(Body, frozen=True):
    username: str
    password: str
    invite: str | UnsetType = UNSET


class Login(Body, frozen=True):
    username: str
    password: str


class Refresh(Body, frozen=True):
    refresh_token: str


class ChangePassword(Body, frozen=True):
    current_password: str
    new_password: str


class EraseAccount(Body, frozen=True):
    password: str


class CreateRoom(Body, frozen=True):
    name: str


class RenameRoom(Body, frozen=True):
    name: str


class PostMessage(Body, frozen=True):
    content: str
    client_id: str | UnsetType = UNSET


class MoveRead(Body, frozen=True):
    seq: int


B = TypeVar("B", bound=Body)

MOST_DIGITS = 1_000  # of a whole number; longer ones are read as (infinite) floats, which no field takes
_NOT_READ = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # the second: bytes that are no UTF-8


def read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in *raw*; raises `InvalidJson`.

    Escaped lone surrogates survive here (as Python's own reader leaves them), so that the field they stand in can be
    named; `read_body` refuses them, and NUL.
    """
    try:
        raw.decode()
        value = msgspec.json.decode(raw)
    except _NOT_READ:
        value = _read_leniently(raw)
    if not isinstance(value, dict):
        raise InvalidJson("the JSON must be an object")
    return value


def _read_leniently(raw: bytes) -> Any:
    # msgspec refuses "\ud800" as bad JSON; the contract wants it reported as the field's invalid_unicode.
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant, parse_int=_whole_number)
    except (ValueError, RecursionError) as fault:
        raise InvalidJson("this is not JSON in UTF-8") from fault


def _whole_number(digits: str) -> int | float:
    # Python refuses to convert more than 4,300 digits; they are JSON all the same, and too many for any field.
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def decode(raw: bytes, kind: type[B]) -> B:
    """The *kind* in *raw*; raises `InvalidJson`, `MissingField`, `InvalidField`, `InvalidText` (invalid_unicode)."""
    try:
        raw.decode()  # msgspec does not look at what it skips
        body: B = _decoder(kind).decode(raw)
    except _NOT_READ:  # ValidationError too: say which field, with the contract's code
        return read_body(read_object(raw), kind)
    return read_body(read_object(raw), kind) if may_hold_nul(raw) else body


def may_hold_nul(raw: bytes) -> bool:
    """Whether a string in JSON that msgspec has read may hold NUL: only an escape can spell it (RFC 8259 section 7).

    Lone surrogates, the other thing that the gate refuses, msgspec has refused already.
    """
    return rb"\u0000" in raw


@cache
def _decoder(kind: type[Body]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def read_body(value: dict[str, Any], kind: type[B]) -> B:
    """Build *kind* of a JSON object, field by field in the order declared; raises as `decode` does."""
    values = {}
    for name, hint, required in _shape(kind):
        item = value.get(name)
        if item is None and not _accepts_none(hint):
            if required or name in value:
                raise MissingField(name)
            continue
        if name not in value:
            raise MissingField(name)
        gate(item, field=name)  # first: converting a lone surrogate to a number is more than msgspec can take
        try:
            values[name] = msgspec.convert(item, hint)
        except msgspec.ValidationError as fault:
            raise InvalidField(name, f"{name}: {fault}") from fault
    return kind(**values)


@cache
def _shape(kind: type[Body]) -> tuple[tuple[str, Any, bool], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((f.name, hints[f.name], f.required) for f in msgspec.structs.fields(kind))


def _accepts_none(hint: Any) -> bool:
    return type(None) in typing.get_args(hint)


def gate(item: Any, *, field: str) -> None:
    """Raise `InvalidText` if *item*, the JSON value of *field*, holds a string that no field may hold."""
    for string in (*item, *item.values()) if isinstance(item, dict) else (item,):
        if isinstance(string, str):
            try:
                text.gate(string)
            except text.TextFault as fault:
                raise InvalidText(Code(fault.code), str(fault), field=field) from fault
