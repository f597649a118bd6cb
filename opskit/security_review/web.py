"""Probes of what every HTTP service owes its users' browsers, and of what strangers may see."""

import re
import socket

import httpx

from opskit.security_review.case import Case
from opskit.security_review.handshake import FOREIGN
from opskit.security_review.service import NoAnswer, Service

_FILES = {
    "/.git/HEAD": r"ref: refs/|[0-9a-f]{40}\s*$",
    "/.git/config": r"\[core\]",
    "/.env": r"(?m)^[A-Z][A-Z0-9_]*=",
    "/chat.toml": r"(?m)^\w+\s*=",
    "/chat.db": r"SQLite format 3",
    "/chat.sqlite3": r"SQLite format 3",
}
_UPWARDS = ("/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd", "/static/..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd")
_USERS = r"(?m)^root:[^:]*:0:0:"


def headers(case: Case) -> None:
    """Headers of the page, of an API answer, and of the one that carried tokens."""
    page, api = case.service.call("GET", "/"), case.service.call("GET", "/opskit-review")
    html = next((each for each in (page, api) if "html" in each.headers.get("content-type", "")), None)
    for each, what in ((page, "GET /"), (api, "a 404")):
        if each.headers.get("x-content-type-options", "").lower() != "nosniff":
            case.find("header-nosniff", f"{what} has no X-Content-Type-Options: nosniff")
    if html is not None:
        policy = html.headers.get("content-security-policy", "")
        if not policy:
            case.find("header-csp", "the HTML page has no Content-Security-Policy")
        if "frame-ancestors" not in policy and "x-frame-options" not in html.headers:
            case.find("header-frame", "the HTML page has neither frame-ancestors nor X-Frame-Options")
        if "referrer-policy" not in html.headers:
            case.find("header-referrer", "the HTML page has no Referrer-Policy")
    if case.me is not None:
        answer = case.me.answer
        if "no-store" not in answer.headers.get("cache-control", ""):
            case.find("header-cache", "the answer with tokens has no Cache-Control: no-store")
        cookies(case, answer.headers)
    cookies(case, page.headers)


def cookies(case: Case, of: httpx.Headers) -> None:
    """The flags of every cookie that is set."""
    for cookie in of.get_list("set-cookie"):
        flags = {part.strip().partition("=")[0].lower() for part in cookie.split(";")[1:]}
        wanted = {"httponly", "samesite"} | ({"secure"} if case.service.secure else set())
        if lacking := wanted - flags:
            case.find("cookie-flags", f"the cookie {cookie.partition('=')[0]} lacks {', '.join(sorted(lacking))}")


def cors(case: Case) -> None:
    """What a foreign web page may read: a call, its preflight, with and without a user."""
    token = case.access_token
    preflight = {"Origin": FOREIGN, "Access-Control-Request-Method": "GET"}
    for method, path, sent in (
        ("GET", "/healthz", {"Origin": FOREIGN}),
        ("GET", "/me", {"Origin": FOREIGN}),
        ("OPTIONS", "/me", preflight),
        ("GET", "/", {"Origin": FOREIGN}),
    ):
        answer = case.service.call(method, path, token=token if path == "/me" and method == "GET" else "", headers=sent)
        allowed = answer.headers.get("access-control-allow-origin", "")
        with_credentials = answer.headers.get("access-control-allow-credentials", "").lower() == "true"
        if allowed == FOREIGN and with_credentials:
            case.find("cors-credentials", f"{method} {path} with Origin: {FOREIGN} allows it, with credentials")
        elif allowed in ("*", FOREIGN):
            case.find("cors-wildcard", f"{method} {path} answered Access-Control-Allow-Origin: {allowed}")


def metrics(case: Case) -> None:
    """`/metrics` as a stranger: from another address than loopback, where the service can be reached so."""
    service = case.service
    stranger = service
    if service.loopback:
        outside = _own_address(service.port)
        if not outside:
            raise NoAnswer("the service is on loopback only, where it may be read; ask from another machine")
        bare = f"[{outside}]" if ":" in outside else outside
        stranger = Service(f"{'https' if service.secure else 'http'}://{bare}:{service.port}")
    try:
        answer = stranger.call("GET", "/metrics")
    finally:
        if stranger is not service:
            stranger.close()
    if answer.status == 200 and re.search(r"(?m)^(# (HELP|TYPE) |\w+(\{.*\})? [\d.]+)", answer.text):
        case.find("metrics-open", f"GET /metrics from {'outside loopback' if stranger is not service else 'here'}: 200")


def files(case: Case) -> None:
    """Files that are nobody's business, and the way out of the web root."""
    for path, shape in _FILES.items():
        answer = case.service.call("GET", path)
        if answer.status == 200 and re.search(shape, answer.text[:2000]):
            case.find("exposed-files", f"GET {path} answered 200 with its content")
    for path in _UPWARDS:
        answer = case.service.call("GET", path)
        if answer.status == 200 and re.search(_USERS, answer.text[:5000]):
            case.find("path-traversal", f"GET {path} answered with the machine's /etc/passwd")


def tls(case: Case) -> None:
    """Encryption on the way, where it leaves the machine."""
    service = case.service
    if not service.secure:
        if service.loopback:
            raise NoAnswer("plain HTTP on loopback: give the public https URL to have TLS and HSTS looked at")
        case.find("no-tls", f"{service.url} is http and not on this machine")
        return
    if service.certificate_fault:
        case.find("tls-certificate", service.certificate_fault)
    if "strict-transport-security" not in service.call("GET", "/").headers:
        case.find("no-hsts", "GET / has no Strict-Transport-Security")


def _own_address(port: int) -> str:
    """An address of this machine beside loopback on which that port answers, "" if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # RFC 5737: sends nothing, only picks the interface
            address = str(probe.getsockname()[0])
            if address.startswith("127."):
                return ""
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            return ""
    return address
