"""The service itself: alive, ready, itself, and answering what it does not know as documented."""

import re

from smoke.api import Http
from smoke.expect import same, true

RFC3339_MS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NEEDS_A_TOKEN = (  # every call of the contract but the public ones
    *(
        "POST /auth/logout",
        "POST /auth/password",
        "GET /auth/sessions",
        "DELETE /auth/sessions",
        "POST /auth/ws-ticket",
    ),
    *("DELETE /auth/sessions/s_x", "GET /me", "DELETE /me", "GET /me/rooms", "POST /rooms", "GET /rooms"),
    *("GET /rooms/r_x", "PATCH /rooms/r_x", "DELETE /rooms/r_x", "POST /rooms/r_x/join", "POST /rooms/r_x/leave"),
    *("DELETE /rooms/r_x/members/u_x", "GET /rooms/r_x/messages", "POST /rooms/r_x/messages", "GET /rooms/r_x/members"),
    *("POST /rooms/r_x/read", "GET /rooms/r_x/events"),
    *("PUT /messages/m_x/reactions/%F0%9F%91%8D", "DELETE /messages/m_x/reactions/%F0%9F%91%8D"),
)


def test_health(outsider: Http) -> None:
    """it is alive (GET /healthz)"""
    outsider.get("/healthz").must_be(200)


def test_readiness(outsider: Http) -> None:
    """it can serve (GET /readyz)"""
    outsider.get("/readyz").must_be(200)


def test_version(outsider: Http) -> None:
    """it says which version and commit it is (GET /version)"""
    answer = outsider.get("/version")
    true("a version in GET /version", bool(answer.must_have(200, "version")), seen=answer.body)
    answer.must_have(200, "commit")  # null where the service was not deployed from a commit
    started = answer.must_have(200, "started_at")
    true("started_at in RFC 3339, UTC, with milliseconds", bool(RFC3339_MS.fullmatch(str(started))), seen=started)


def test_web_client(outsider: Http) -> None:
    """the web client and all it loads are there (GET /)"""
    page = outsider.get("/")
    page.must_be(200)
    same("content type of GET /", page.kind, "text/html")
    loads = re.findall(r"""<(?:script|link)\b[^>]*?\b(?:src|href)=["'](/[^"']+)""", str(page.body))
    true("a script and a style sheet in GET /", len(loads) > 1, seen=loads)
    for path in loads:
        outsider.get(path).must_be(200)


def test_unknown_path(outsider: Http) -> None:
    """an unknown path is 404 not_found, a wrong method 405 method_not_allowed"""
    outsider.get("/no-such-path").must_be_problem(404, "not_found")
    outsider.delete("/healthz").must_be_problem(405, "method_not_allowed")


def test_no_token(outsider: Http) -> None:
    """every call that needs a token is 401 without one"""
    for call in NEEDS_A_TOKEN:
        method, _, path = call.partition(" ")
        outsider.call(method, path).must_be_problem(401, "unauthorized")


def test_metrics(outsider: Http) -> None:
    """metrics are given, or withheld from strangers (GET /metrics)"""
    outsider.get("/metrics").must_be(200, 401, 403, 404)
