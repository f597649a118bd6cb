"""From a frame's bytes to a command; says what is wrong with one that is none."""

from dataclasses import dataclass

import msgspec

from chat import text
from chat.protocol.commands import COMMANDS, Command, gate, may_hold_nul, read_body, read_object
from chat.protocol.errors import Code, Fault, InvalidField, InvalidText, MissingField, UnknownType

_decoder = msgspec.json.Decoder(Command)


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that is no command: `re` is its id, None when it has no usable one; `kind` what stands as its type."""

    re: str | None
    fault: Fault
    kind: object = None


def read(raw: bytes) -> Command | Refused:
    """The command in *raw*. The common case is one pass over the bytes; only a fault is looked into."""
    try:
        command: Command = _decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return _look_into(raw)
    if may_hold_nul(raw):
        return _look_into(raw)
    if fault := _id_fault(command.id):
        return Refused(None, fault)
    return command


def _look_into(raw: bytes) -> Command | Refused:
    name: str | None = None
    kind: object = None
    try:
        value = read_object(raw)
        name = _id_of(value)
        kind = value.get("type")
        if kind is None:
            raise MissingField("type")
        if not isinstance(kind, str):
            raise InvalidField("type", "type is a string")
        gate(kind, field="type")
        if kind not in COMMANDS:
            raise UnknownType(f"there is no type {kind[:40]!r}; known are {', '.join(COMMANDS)}", field="type")
        command: Command = read_body(value, COMMANDS[kind])  # type: ignore[assignment]  # COMMANDS holds the union's
    except Fault as fault:
        return Refused(name, fault, kind)
    return command


def _id_of(value: dict[str, object]) -> str:
    name = value.get("id")
    if name is None:
        raise MissingField("id")
    if not isinstance(name, str):
        raise InvalidField("id", "id is a string")
    if fault := _id_fault(name):
        raise fault
    return name


def _id_fault(name: str) -> Fault | None:
    try:
        text.opaque_id(name)
    except text.TextFault as fault:
        return InvalidText(Code(fault.code), str(fault), field="id")
    return None
