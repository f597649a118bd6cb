"""Before the upgrade: who connects, from where, by which of the three ways to show a token."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from quart import Websocket

from chat.protocol.errors import Unauthorized, Unavailable
from chat.protocol.log import Who
from chat.web.peers import bearer_of, check_origin
from chat.web.site import Site

SUBPROTOCOL = "chat.v1"
BEARER = "bearer."


async def authenticate(site: Site, websocket: Websocket) -> Who:
    """Who may connect; raises `OriginNotAllowed`, `Unauthorized`, `TokenExpired`, `Unavailable`."""
    settings = site.settings
    origin = check_origin(
        websocket.headers,
        public_url=settings.public_url,
        allowed=settings.allowed_origins,
        encrypted=websocket.scheme == "wss",
    )
    if site.draining:
        raise Unavailable("this server is restarting", retry_after_ms=1000)
    if token := bearer_of(websocket.headers) or bearer_among(websocket.requested_subprotocols):
        return await site.chat.sessions.authenticate(token)
    if ticket := _ticket(websocket.query_string):
        return await site.chat.tickets.redeem(ticket, origin=origin)
    raise Unauthorized("connect with an access token or a ticket")


def bearer_among(subprotocols: Sequence[str]) -> str | None:
    """The token that a client put among its subprotocols."""
    return next((name.removeprefix(BEARER) for name in subprotocols if name.startswith(BEARER)), None)


def chosen_subprotocol(offered: Sequence[str]) -> str | None:
    """What to answer: `chat.v1` if it was offered, never the token."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def _ticket(query: bytes) -> str | None:
    return dict(parse_qsl(query.decode("ascii", "replace"))).get("ticket")
