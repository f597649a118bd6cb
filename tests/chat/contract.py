"""The checks that every answer and frame seen anywhere in the tests must pass."""

from typing import Any

import httpx

from chat.protocol.errors import MEANINGS, Code

JSON, PROBLEM = "application/json", "application/problem+json"


def check_answer(method: str, path: str, answer: httpx.Response) -> None:
    """*answer* is one that the contract allows for this call."""
    assert answer.status_code < 500 or answer.status_code == 503, (method, path, answer.status_code, answer.text)
    kind = answer.headers.get("content-type", "")
    if answer.status_code >= 400 and method != "HEAD":
        assert kind == PROBLEM, (method, path, answer.status_code, kind, answer.text)
        body = answer.json()
        assert MEANINGS[Code(body["code"])].status == body["status"] == answer.status_code, body
        assert {"type", "title", "detail"} <= body.keys()


def check_frame(frame: dict[str, Any]) -> None:
    """*frame* is one that the contract lets the server send."""
    assert isinstance(frame["type"], str)
