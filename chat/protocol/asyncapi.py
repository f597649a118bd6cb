"""The WebSocket contract as an AsyncAPI 3.0 document, made of the types that validate and encode at run time."""

import typing
from typing import Any

import msgspec

from chat.protocol.commands import COMMANDS
from chat.protocol.events import Frame

REF = "#/components/schemas/{name}"
CLOSE_CODES = {
    1003: "binary frame",
    1007: "not UTF-8",
    1009: "frame too big",
    1011: "our bug",
    1012: "restarting; reason: reconnect_after_ms=N",
    4000: "protocol: a broken frame, or 100 frames in a row answered with re:null",
    4011: "session ended",
    4012: "account gone",
    4100: "flooding",
    4102: "too many connections",
    4110: "token expired",
    4201: "heartbeat lost",
    4208: "slow consumer",
}


def document(*, version: str) -> dict[str, Any]:
    """The whole document."""
    received = {str(tag): kind for tag, kind in COMMANDS.items()}
    sent = {str(kind.__struct_config__.tag): kind for kind in typing.get_args(Frame)}
    kinds: list[Any] = [*received.values(), *sent.values()]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    messages = {
        _name(kind): {
            "name": str(kind.__struct_config__.tag),
            "title": kind.__name__,
            "summary": (kind.__doc__ or "").strip().splitlines()[0] if kind.__doc__ else kind.__name__,
            "contentType": "application/json",
            "payload": schema,
        }
        for kind, schema in zip(kinds, schemas, strict=True)
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "chat", "version": version, "description": "The chat contract chat.v1 on the WebSocket."},
        "defaultContentType": "application/json",
        "channels": {
            "chat": {
                "address": "/chat",
                "description": "Subprotocol chat.v1; text frames, one JSON object each.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
                "x-close-codes": {str(code): meaning for code, meaning in CLOSE_CODES.items()},
            }
        },
        "operations": {
            "command": _operation("receive", "What clients send.", received.values()),
            "event": _operation("send", "What the server sends.", sent.values()),
        },
        "components": {"messages": messages, "schemas": components},
    }


def _name(kind: Any) -> str:
    return str(kind.__name__)


def _operation(action: str, summary: str, kinds: Any) -> dict[str, Any]:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": "#/channels/chat"},
        "messages": [{"$ref": f"#/channels/chat/messages/{_name(kind)}"} for kind in kinds],
    }
