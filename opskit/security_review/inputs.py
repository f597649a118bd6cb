"""Probes with input nobody means: what errors give away, and how much is swallowed."""

import json
import re
import secrets
import time
from contextlib import closing, suppress

from websockets.exceptions import ConnectionClosed, InvalidStatus

from opskit.security_review.case import Case
from opskit.security_review.service import Answer, NoAnswer, asked

BODY_BYTES = 2 << 20
FRAME_BYTES = 1 << 20
_INSIDE = re.compile(
    r"Traceback \(most recent call last\)|File \"[^\"]+\.py\", line \d+|werkzeug\.debug|EVALEX|Interactive Console"
    r"|sqlalchemy\.exc|sqlite3\.\w*Error|asyncpg\.|psycopg|at [\w.<>]+ \([^)]*\.js:\d+:\d+\)|\.java:\d+\)"
)
_JSON = {"Content-Type": "application/json"}


def errors(case: Case) -> None:
    """Malformed calls to the public paths: what comes back."""
    calls: list[tuple[str, str, bytes | None]] = [
        ("GET", "/opskit-review/%ff%00", None),
        ("GET", "/opskit-review?debug=1&x=%ff", None),
        ("GET", "/console", None),
        ("DELETE", "/auth/login", None),
        ("POST", "/auth/login", b"{"),
        ("POST", "/auth/login", b"[]"),
        ("POST", "/auth/login", b'{"username": {"a": 1}, "password": 7}'),
        ("POST", "/auth/login", b'{"username": "\\ud800", "password": "\\u0000\\ud800aaaaaaaa"}'),
        ("POST", "/auth/login", b'{"username": "\' OR 1=1 --", "password": "\xff"}'),
        ("POST", "/auth/refresh", b'{"refresh_token": 1e400}'),
        ("POST", "/auth/register", b"null"),
    ]
    answered = 0
    for method, path, content in calls:
        with suppress(NoAnswer):  # to hang up is an answer to such calls
            answer = case.service.call(method, path, content=content, headers=_JSON if content else None)
            _look(case, f"{method} {path.partition('?')[0]} {(content or b'').decode('latin-1')[:40]}".strip(), answer)
            answered += 1
    if not answered:
        raise NoAnswer("no malformed call was answered")
    if case.me:
        token = case.access_token
        for path in ("/rooms/%00", "/rooms/r_review/messages?limit=x", "/rooms?limit=99999999999999999999&cursor=%ff"):
            _look(case, f"GET {path}", case.service.call("GET", path, token=token))
        _look(case, "POST /rooms", case.service.call("POST", "/rooms", {"name": "\ud800\u0000"}, token=token))


def body(case: Case) -> None:
    """A body far over any limit."""
    content = json.dumps({"username": "x", "password": "y" * BODY_BYTES}).encode()
    try:
        answer = case.service.call("POST", "/auth/login", content=content, headers=_JSON)
    except NoAnswer:
        return  # cut off while it was sent: a refusal
    _look(case, "POST /auth/login with 2 MiB", answer)
    if answer.status in (404, 405):
        raise NoAnswer(f"POST /auth/login answered {answer.status}")
    if answer.status not in (413, 431, 429, 503) and answer.status < 500:
        case.find("body-size", f"POST /auth/login with 2 MiB answered {answer.status}, not 413")


def frame(case: Case) -> None:
    """A frame far over any limit."""
    token = case.access_token
    try:
        socket = case.service.dial(token=token)
    except InvalidStatus as refusal:
        raise NoAnswer(f"GET /chat answered {refusal.response.status_code}") from None
    with closing(socket):
        with suppress(ConnectionClosed):
            socket.send(json.dumps({"type": "ping", "id": "big", "padding": "x" * FRAME_BYTES}))
        deadline = time.monotonic() + case.service.settle_s
        with suppress(ConnectionClosed, TimeoutError):
            while (left_s := deadline - time.monotonic()) > 0:
                if '"big"' in str(socket.recv(timeout=left_s)):
                    break
        if socket.close_code is None and asked(socket, {"type": "ping"}, within_s=case.service.settle_s):
            case.find("frame-size", "a frame of 1 MiB was read, and the socket stays open")


def _look(case: Case, what: str, answer: Answer) -> None:
    if inside := _INSIDE.search(answer.text):
        case.find("error-traceback", f"{what} answered {answer.status} with {inside[0][:60]!r}")
    if answer.status >= 500 and answer.status not in (501, 503, 505):
        case.find("error-500", f"{what} answered {answer.status}")


def random_name() -> str:
    """A user that does not exist."""
    return f"review-nobody-{secrets.token_hex(6)}"
