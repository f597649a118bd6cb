"""The HTTP contract as an OpenAPI 3.1 document, made of the types that validate and encode at run time."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from chat.protocol.answers import Problem
from chat.protocol.commands import Body
from chat.protocol.errors import MEANINGS, Code
from chat.protocol.models import Wire

PROBLEM_MEDIA_TYPE = "application/problem+json"
REF = "#/components/schemas/{name}"
EVERY_CALL = (Code.ORIGIN_NOT_ALLOWED, Code.PAYLOAD_TOO_LARGE, Code.INTERNAL, Code.UNAVAILABLE)
SIGNED_IN = (Code.UNAUTHORIZED, Code.TOKEN_EXPIRED)
WITH_BODY = (
    Code.INVALID_JSON,
    Code.MISSING_FIELD,
    Code.INVALID_FIELD,
    Code.INVALID_UNICODE,
    Code.UNSUPPORTED_MEDIA_TYPE,
)
WITH_QUERY = (Code.INVALID_FIELD, Code.INVALID_UNICODE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query parameter and its JSON schema."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call as the contract has it.

    `path` has its places as `<name>`; `answers` maps a status to its type (None: no body, or one of `media_type` that
    none of the types describes); `codes` are the faults of this call besides those that follow from the rest.
    """

    method: str
    path: str
    does: str
    takes: type[Body] | None = None
    query: tuple[Query, ...] = ()
    answers: Mapping[int, type[Wire] | None]
    media_type: str | None = None
    codes: tuple[Code, ...] = ()
    public: bool = False  # needs no session

    @property
    def limited(self) -> bool:
        """Whether a rate limits the call."""
        return False


def document(operations: Sequence[Operation], *, version: str) -> dict[str, Any]:
    """The whole document."""
    types = {t for o in operations for t in (o.takes, *o.answers.values()) if t is not None} | {Problem}
    ordered = sorted(types, key=lambda kind: kind.__name__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template=REF)
    references = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        place = re.sub(r"<(\w+)>", r"{\1}", operation.path)
        paths.setdefault(place, {})[operation.method.lower()] = _operation(operation, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "chat", "version": version, "description": "The chat contract chat.v1 over HTTP."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"session": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"session": []}],
    }


def _operation(operation: Operation, references: Mapping[type, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": f"{operation.method} {operation.path}",
        "summary": operation.does,
        "parameters": [*_places(operation.path), *(_query(query) for query in operation.query)],
        "responses": {
            str(status): _answer(kind, references, media_type=operation.media_type)
            for status, kind in operation.answers.items()
        }
        | _problems(codes_of(operation), references),
    }
    if operation.takes is not None:
        content = {"application/json": {"schema": references[operation.takes]}}
        found["requestBody"] = {"required": True, "content": content}
    if operation.public:
        found["security"] = []
    return found


def codes_of(operation: Operation) -> tuple[Code, ...]:
    """Everything that may go wrong with a call, its path and method being right."""
    codes = [*EVERY_CALL, *operation.codes]
    codes += () if operation.public else SIGNED_IN
    codes += WITH_BODY if operation.takes is not None else ()
    codes += WITH_QUERY if operation.query else ()
    codes += (Code.RATE_LIMITED,) if operation.limited else ()
    codes += (Code.INVALID_UNICODE,) if "<" in operation.path else ()
    return tuple(dict.fromkeys(codes))


def _places(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"<(\w+)>", path)
    ]


def _query(query: Query) -> dict[str, Any]:
    return {"name": query.name, "in": "query", "required": False, "schema": dict(query.schema)}


def _answer(kind: type[Wire] | None, references: Mapping[type, Any], *, media_type: str | None) -> dict[str, Any]:
    if kind is None:
        return {"description": "done"} | ({"content": {media_type: {}}} if media_type else {})
    return {"description": _first_line(kind), "content": {"application/json": {"schema": references[kind]}}}


def _problems(codes: Sequence[Code], references: Mapping[type, Any]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(MEANINGS[code].status, []).append(code.value)
    return {
        str(status): {
            "description": ", ".join(values),
            "content": {
                PROBLEM_MEDIA_TYPE: {
                    "schema": {"allOf": [references[Problem]], "properties": {"code": {"enum": values}}}
                }
            },
        }
        for status, values in sorted(by_status.items())
    }


def _first_line(kind: type) -> str:
    return (kind.__doc__ or kind.__name__).strip().splitlines()[0]
