"""The one boundary where faults become HTTP answers: problem details (RFC 9457) with the contract's codes."""

import math
import secrets
from typing import Any

import msgspec
import structlog
from msgspec import UNSET
from quart import Response
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, RequestTimeout
from werkzeug.exceptions import MethodNotAllowed as WrongMethod

from chat.protocol.answers import Problem
from chat.protocol.errors import MEANINGS, Code, Fault, InvalidJson, MethodNotAllowed, NotFound, PayloadTooLarge

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"


def incident() -> str:
    """An id that a person can quote and the log can be searched for."""
    return secrets.token_hex(6)


def problem(fault: Fault, *, failing: list[str] | None = None) -> Response:
    """*fault* as an answer."""
    status, body = problem_body(fault, failing=failing)
    response = Response(body, status, content_type=MEDIA_TYPE)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if fault.retry_after_ms is not None:
        response.headers["Retry-After"] = str(math.ceil(fault.retry_after_ms / 1000))
    return response


def problem_body(fault: Fault, *, failing: list[str] | None = None) -> tuple[int, bytes]:
    """The status of *fault*'s answer, and its body."""
    code = Code(fault.code)
    meaning = MEANINGS[code]
    body = Problem(
        type=f"urn:chat:problem:{code.value}",
        title=meaning.title,
        status=meaning.status,
        code=code,
        detail=str(fault),
        field=fault.field if fault.field is not None else UNSET,
        retry_after_ms=fault.retry_after_ms if fault.retry_after_ms is not None else UNSET,
        failing=failing if failing is not None else UNSET,
    )
    return meaning.status, msgspec.json.encode(body)


def of_http_exception(error: HTTPException) -> Response:
    """What the framework refuses, in the contract's words."""
    headers: dict[str, Any] = {}
    fault: Fault
    match error:
        case WrongMethod():
            fault = MethodNotAllowed("this path does not take this method")
            headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
        case RequestEntityTooLarge():
            fault = PayloadTooLarge("the body is too large")
        case RequestTimeout():
            fault = InvalidJson("the body did not arrive in time")
            headers["Connection"] = "close"
        case _:
            fault = NotFound("there is nothing here")
    response = problem(fault)
    response.headers.update(headers)
    return response


def of_bug(error: BaseException, *, where: str) -> Fault:
    """Log a bug with its traceback under a new incident id, and make the fault that names it."""
    name = incident()
    log.error("internal_error", incident=name, where=where, exc_info=error)
    return Fault(f"our bug; please quote incident {name}", code=Code.INTERNAL)
