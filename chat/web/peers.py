"""Who is at the other end: the client's address through trusted proxies, and whether a browser's origin is allowed."""

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

from werkzeug.datastructures import Headers

from chat.protocol.errors import OriginNotAllowed

USER_AGENT_CHARACTERS = 256
UNKNOWN = "unknown"


def address_of(headers: Headers, peer: str, *, trusted_proxies: int) -> str:
    """The client's address: as many hops back in `X-Forwarded-For` as proxies are trusted, else the peer's.

    One spelling for each address, without a port; what a proxy did not know or cannot be read is `UNKNOWN`.
    """
    # A proxy may append a line of its own below the client's: all lines are one list (RFC 9110 section 5.3).
    hops = [hop.strip() for hop in ",".join(headers.getlist("X-Forwarded-For")).split(",") if hop.strip()]
    if not trusted_proxies or not hops:
        return _canonical(peer) or peer
    return _canonical(hops[-min(trusted_proxies, len(hops))]) or UNKNOWN


@lru_cache(maxsize=4096)  # few have many calls each
def _canonical(hop: str) -> str | None:
    """*hop* as an address: `[2001:DB8::1]:443`, `2001:db8::1`, `203.0.113.7:443`; an IPv4-mapped one as IPv4."""
    host = hop.strip('"')
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return str(getattr(found, "ipv4_mapped", None) or found)


def neighbourhood_of(address: str) -> str:
    """Whom a limit per address counts as one: an IPv6 subscriber has a whole /64 to choose from (RFC 6177)."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else str(ipaddress.IPv6Network((int(found), 64), strict=False))


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


def check_origin(
    headers: Headers, *, public_url: str | None, allowed: Collection[str], encrypted: bool = False
) -> str | None:
    """The request's `Origin`, if it has one that may talk to this server; raises `OriginNotAllowed`.

    *encrypted*: the request came over this server's own TLS.
    """
    given = headers.getlist("Origin")
    if not given:
        return None
    own = {public_url} if public_url else own_origins(headers.get("Host", ""), encrypted=encrypted)
    origin = next((one for one in given if one not in allowed and one not in own), None)
    if origin is None:
        return given[0]
    raise OriginNotAllowed(f"pages of {origin[:80]} may not talk to this server; CHAT_ALLOWED_ORIGINS can let them")


def own_origins(host: str, *, encrypted: bool) -> set[str]:
    """The server's origins by the request's `Host`, believed only where it is this very machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return set()
    schemes = ("http", "https") if encrypted else ("http",)
    return {f"{scheme}://{host}".lower() for scheme in schemes} if is_loopback(name) else set()


def user_agent_of(headers: Headers) -> str:
    """What the client calls itself, printable and short."""
    raw = headers.get("User-Agent", "").encode("latin-1", "replace").decode("utf-8", "replace")
    return "".join(c for c in raw if c.isprintable())[:USER_AGENT_CHARACTERS]


def bearer_of(headers: Headers) -> str | None:
    """The token of `Authorization: Bearer`, if there is one."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
