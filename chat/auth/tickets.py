"""One-time tickets: what a browser, which cannot set headers there, shows when it opens a WebSocket."""

import secrets
import time
from collections.abc import Callable

from chat.protocol.errors import Unauthorized
from chat.protocol.log import Who
from chat.storage import sessions
from chat.storage.ids import digest
from chat.storage.sessions import NewTicket
from chat.storage.store import Store

TICKET_S = 30
MAX_TICKET_CHARACTERS = 128
_NOT_GOOD = f"the ticket is not good: ask for another one, each is good once and for {TICKET_S} s"


class Tickets:
    """Issues and redeems tickets; they are in the database, so any process redeems what another issued, once."""

    def __init__(self, store: Store, *, now: Callable[[], float] = time.time) -> None:
        self._store, self._now = store, now

    async def issue(self, who: Who, *, origin: str | None) -> str:
        """A ticket for the session that asks, good for 30 s from pages of *origin* (None: not asked by a page)."""
        ticket = secrets.token_urlsafe(32)
        ask = NewTicket(
            ticket_hash=digest(ticket),
            session_id=who.session_id,
            origin=origin,
            access_expires_ms=int(who.expires_at * 1000),
            expires_ms=int((self._now() + TICKET_S) * 1000),
        )
        await self._store.writer.submit(sessions.issue_ticket, ask)
        return ticket

    async def redeem(self, ticket: str, *, origin: str | None) -> Who:
        """Whom a ticket stands for; it is used up even if it is refused. Raises `Unauthorized`.

        `expires_at` is that of the access token that asked for the ticket.
        """
        if len(ticket) > MAX_TICKET_CHARACTERS or not ticket.isascii():
            raise Unauthorized(_NOT_GOOD)
        found = await self._store.writer.submit(sessions.redeem_ticket, digest(ticket))
        if found is None or (found.origin is not None and found.origin != origin):
            raise Unauthorized(_NOT_GOOD)
        if found.access_expires_ms <= self._now() * 1000:
            raise Unauthorized("the access token behind the ticket has expired: refresh it and ask for another ticket")
        return Who(
            user_id=found.user.id,
            username=found.user.username or "",
            session_id=found.session_id,
            expires_at=found.access_expires_ms / 1000,
        )
