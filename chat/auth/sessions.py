"""Signed-in sessions: begun, recognised by their access token, refreshed, listed, ended."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from chat.auth import tokens
from chat.auth.keys import KeyRing
from chat.protocol.errors import Unauthorized, Unavailable
from chat.protocol.log import Who
from chat.protocol.models import Session, User
from chat.storage import sessions
from chat.storage.ids import digest, new_id
from chat.storage.sessions import End, NewSession, Rotate
from chat.storage.store import Store

MAX_USER_AGENT_CHARACTERS = 200
MAX_SECRET_CHARACTERS = 256
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Who is signed in, and the tokens for it; `expires_in` is the access token's life in seconds."""

    user: User
    session_id: str
    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A session made up but not stored yet, and the refresh token that only its client will know."""

    new: NewSession
    refresh_token: str


class Sessions:
    """The sessions of everybody, as this process sees them."""

    def __init__(
        self, store: Store, ring: KeyRing, *, access_ttl_s: int, session_days: int, now: Callable[[], float] = time.time
    ) -> None:
        self._store, self._ring, self._now = store, ring, now
        self._verifier = tokens.Verifier(ring)
        self._access_ttl_s, self._life_ms = access_ttl_s, session_days * DAY_MS

    def begin(self, *, user_agent: str) -> Begun:
        """Make up a session, to be stored together with the reason for it."""
        refresh_token = secrets.token_urlsafe(32)
        now_ms = self._now_ms()
        agent = "".join(c for c in user_agent if c.isprintable())[:MAX_USER_AGENT_CHARACTERS]
        return Begun(
            new=NewSession(
                session_id=new_id("s", now_ms=now_ms),
                refresh_hash=digest(refresh_token),
                user_agent=agent,
                expires_ms=now_ms + self._life_ms,
            ),
            refresh_token=refresh_token,
        )

    def signed_in(self, user: User, session_id: str, refresh_token: str) -> SignedIn:
        """The tokens for a session that is stored."""
        ttl_s = self._access_ttl_s
        access_token = tokens.issue(self._ring, user_id=user.id, session_id=session_id, now_s=self._now(), ttl_s=ttl_s)
        return SignedIn(
            user=user,
            session_id=session_id,
            access_token=access_token,
            refresh_token=refresh_token,
            expires_in=ttl_s,
        )

    async def authenticate(self, access_token: str) -> Who:
        """Who a token stands for; the session is looked up at each call, so one that has ended is refused at once.

        Raises `Unauthorized`, `TokenExpired`, `Unavailable`.
        """
        claims = self._verifier.verify(access_token, now_s=self._now())
        live = await self._live(claims.session_id)
        if live is None or live.user.id != claims.user_id:
            raise Unauthorized("the session has ended: sign in again")
        return Who(
            user_id=live.user.id,
            username=live.user.username or "",
            session_id=claims.session_id,
            expires_at=claims.expires_at,
        )

    async def check(self, session_id: str) -> bool:
        """Whether a session is still good."""
        return await self._live(session_id) is not None

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Exchange a refresh token for new tokens; one that was used before ends its session. Raises `Unauthorized`."""
        if len(refresh_token) > MAX_SECRET_CHARACTERS or not refresh_token.isascii():
            raise Unauthorized("the refresh token is not good: sign in again")
        following = secrets.token_urlsafe(32)
        ask = Rotate(
            old_hash=digest(refresh_token),
            new_hash=digest(following),
            expires_ms=self._now_ms() + self._life_ms,
        )
        rotated = await self._store.writer.submit(sessions.rotate, ask)
        if rotated.user is None:
            raise Unauthorized("the refresh token is not good: sign in again")
        return self.signed_in(rotated.user, rotated.session_id, following)

    async def logout(self, who: Who) -> None:
        """End the session that asks."""
        await self.end(who, who.session_id)

    async def list(self, who: Who) -> list[Session]:
        """The user's own sessions, the newest first."""
        return await sessions.of_user(self._store.readers, who.user_id, current=who.session_id, now_ms=self._now_ms())

    async def end(self, who: Who, session_id: str) -> None:
        """End one of the user's own sessions. Raises `NotFound`."""
        await self._store.writer.submit(sessions.end, End(user_id=who.user_id, session_id=session_id))

    async def end_others(self, who: Who) -> None:
        """End all of the user's sessions but the one that asks."""
        await self._store.writer.submit(sessions.end, End(user_id=who.user_id, but=who.session_id))

    async def _live(self, session_id: str) -> sessions.Live | None:
        now_ms = self._now_ms()
        live = await sessions.live(self._store.readers, session_id, now_ms=now_ms)
        if live is not None and now_ms - live.last_seen_ms > sessions.SEEN_EVERY_MS:
            with suppress(Unavailable):  # when someone was last seen is not worth an error
                self._store.writer.submit(sessions.seen, session_id)
        return live

    def _now_ms(self) -> int:
        return int(self._now() * 1000)
