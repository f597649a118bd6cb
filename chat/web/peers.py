"""Who is at the other end: the client's address through trusted proxies, and whether a browser's origin is allowed."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from werkzeug.datastructures import Headers

from chat.protocol.errors import OriginNotAllowed

USER_AGENT_CHARACTERS = 256


def address_of(headers: Headers, peer: str, *, trusted_proxies: int) -> str:
    """The client's address: as many hops back in `X-Forwarded-For` as proxies are trusted, else the peer's."""
    # A proxy may append a line of its own below the client's: all lines are one list (RFC 9110 section 5.3).
    hops = [hop.strip() for hop in ",".join(headers.getlist("X-Forwarded-For")).split(",") if hop.strip()]
    if not trusted_proxies or not hops:
        return peer
    return hops[-min(trusted_proxies, len(hops))]


def is_local(headers: Headers, address: str, *, trusted_proxies: int) -> bool:
    """Whether the client is on this machine; what came through a proxy nobody told us of is not."""
    if not trusted_proxies and ("X-Forwarded-For" in headers or "Forwarded" in headers):
        return False
    return is_loopback(address)


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine's own address or name."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in {"localhost", "<local>"}


def check_origin(headers: Headers, *, public_url: str | None, allowed: Collection[str]) -> str | None:
    """The request's `Origin`, if it has one that may talk to this server; raises `OriginNotAllowed`."""
    origin = headers.get("Origin")
    if origin is None:
        return None
    if origin in allowed or origin == (public_url or own_origin(headers.get("Host", ""))):
        return origin
    raise OriginNotAllowed("pages of this origin may not talk to this server")


def own_origin(host: str) -> str | None:
    """The server's origin by the request's `Host`, believed only where it is this very machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return None
    return f"http://{host}".lower() if is_loopback(name) else None


def user_agent_of(headers: Headers) -> str:
    """What the client calls itself, printable and short."""
    raw = headers.get("User-Agent", "").encode("latin-1", "replace").decode("utf-8", "replace")
    return "".join(c for c in raw if c.isprintable())[:USER_AGENT_CHARACTERS]


def bearer_of(headers: Headers) -> str | None:
    """The token of `Authorization: Bearer`, if there is one."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
