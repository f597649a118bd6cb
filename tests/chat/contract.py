"""The checks that every answer and frame seen anywhere in the tests must pass: the generated documents, closed."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

from chat.protocol import asyncapi, openapi
from chat.protocol.errors import MEANINGS, Code
from chat.web.routes import ROUTES

JSON, PROBLEM = "application/json", "application/problem+json"
EVERYWHERE = {"404 not_found", "405 method_not_allowed"}  # an unknown path, a wrong method


def check_answer(method: str, path: str, answer: httpx.Response) -> None:
    """*answer* is one that the OpenAPI document has for this call, to the last field."""
    seen = (method, path, answer.status_code, answer.text[:500])
    kind = answer.headers.get("content-type", "")
    if answer.status_code >= 400 and method != "HEAD":
        assert kind == PROBLEM, seen
        body = answer.json()
        assert MEANINGS[Code(body["code"])].status == body["status"] == answer.status_code, seen
        if f"{answer.status_code} {body['code']}" in EVERYWHERE:
            return
    operation = operation_of(method, path)
    if operation is None:
        return
    described = operation["responses"].get(str(answer.status_code))
    assert described is not None, f"undocumented status: {seen}"
    if not answer.content:
        return
    content = described.get("content", {}).get(kind.partition(";")[0])
    assert content is not None, f"undocumented media type: {kind} {seen}"
    if "schema" in content:
        faults = [f.message for f in validator(_frozen(content["schema"])).iter_errors(answer.json())]
        assert not faults, (faults, seen)


def check_frame(frame: dict[str, Any]) -> None:
    """*frame* is one that the AsyncAPI document lets the server send, to the last field."""
    faults = [f.message for f in frame_validator(frame["type"]).iter_errors(frame)]
    assert not faults, (faults, frame)


@cache
def document() -> dict[str, Any]:
    """The HTTP contract, with what the server sends closed to further fields."""
    found: dict[str, Any] = closed(openapi.document(ROUTES, version="0"))
    return found


@cache
def frames() -> dict[str, Any]:
    """The WebSocket contract, likewise."""
    found: dict[str, Any] = closed(asyncapi.document(version="0"))
    return found


def closed(found: Any) -> Any:
    """*found* with every object schema that lists its properties refusing others."""
    if isinstance(found, dict):
        inner = {key: closed(value) for key, value in found.items()}
        if inner.get("type") == "object" and "properties" in inner:
            inner["additionalProperties"] = False
        return inner
    return [closed(item) for item in found] if isinstance(found, list) else found


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """What the document says of a call; None for one it does not have."""
    plain = path.partition("?")[0]
    for template, operations in document()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), plain):
            found: dict[str, Any] | None = operations.get(("GET" if method == "HEAD" else method).lower())
            return found
    return None


def _frozen(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema)


@cache
def validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    """A validator of one schema of the HTTP contract."""
    return jsonschema_rs.Draft202012Validator(json.loads(schema) | {"components": document()["components"]})


@cache
def frame_validator(kind: str) -> jsonschema_rs.Draft202012Validator:
    """A validator of one type of server frame."""
    sent = {ref["$ref"].rpartition("/")[2] for ref in frames()["operations"]["event"]["messages"]}
    messages = frames()["components"]["messages"]
    payload = next(messages[name]["payload"] for name in sent if messages[name]["name"] == kind)
    return jsonschema_rs.Draft202012Validator(payload | {"components": frames()["components"]})
