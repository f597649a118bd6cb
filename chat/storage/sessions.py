"""Sessions, their refresh tokens, and one-time tickets; secrets are stored as digests only."""

from dataclasses import dataclass
from typing import NamedTuple

from chat.protocol.errors import NotFound, Unauthorized
from chat.protocol.log import UserOp
from chat.protocol.models import Session, User
from chat.storage.connection import Readers
from chat.storage.ids import rfc3339
from chat.storage.transaction import Transaction, single

SESSIONS_PER_USER = 100
SEEN_EVERY_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session to begin."""

    session_id: str
    refresh_hash: bytes
    user_agent: str
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate:
    """A refresh token to be exchanged for the next."""

    old_hash: bytes
    new_hash: bytes
    expires_ms: int


class Rotated(NamedTuple):
    """Whose session went on; `user` is None where it did not: unknown, ended, or the token was used before."""

    user: User | None
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Sessions of a user to be ended: one, or all but one."""

    user_id: str
    session_id: str | None = None
    but: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTicket:
    """A ticket for one WebSocket; it stands for the access token that asked for it."""

    ticket_hash: bytes
    session_id: str
    origin: str | None
    access_expires_ms: int
    expires_ms: int


class Ticket(NamedTuple):
    """What a redeemed ticket stands for."""

    user: User
    session_id: str
    origin: str | None
    access_expires_ms: int


_LIVE = "s.ended_ms IS NULL AND s.expires_ms > :now_ms AND u.disabled_ms IS NULL AND u.erased_ms IS NULL"
_USER_OF = f"""
SELECT u.id, u.username, s.last_seen_ms FROM sessions AS s JOIN users AS u ON u.id = s.user_id
WHERE s.id = :session_id AND {_LIVE}
"""


class Live(NamedTuple):
    """A session that is good now."""

    user: User
    last_seen_ms: int


async def live(readers: Readers, session_id: str, *, now_ms: int) -> Live | None:
    """The session if it has not ended, whoever ended it."""
    row = await readers.one(_USER_OF, {"session_id": session_id, "now_ms": now_ms})
    return None if row is None else Live(User(id=row[0], username=row[1]), row[2])


async def of_user(readers: Readers, user_id: str, *, current: str, now_ms: int) -> list[Session]:
    """The user's sessions that are good now, the newest first."""
    rows = await readers.rows(
        "SELECT s.id, s.created_ms, s.last_seen_ms, s.user_agent FROM sessions AS s JOIN users AS u ON u.id = s.user_id"
        f" WHERE s.user_id = :user_id AND {_LIVE} ORDER BY s.created_ms DESC, s.id DESC",
        {"user_id": user_id, "now_ms": now_ms},
    )
    return [
        Session(
            id=session_id,
            created_at=rfc3339(created_ms),
            last_seen=rfc3339(last_seen_ms),
            user_agent=user_agent,
            current=session_id == current,
        )
        for session_id, created_ms, last_seen_ms, user_agent in rows
    ]


async def begin_session(tx: Transaction, user_id: str, new: NewSession) -> None:
    """Store a session and its first refresh token; the user's oldest beyond the cap ends."""
    tx.later(
        "INSERT INTO sessions (id, user_id, created_ms, last_seen_ms, expires_ms, user_agent)"
        " VALUES (:id, :user_id, :now_ms, :now_ms, :expires_ms, :user_agent)",
        {
            "id": new.session_id,
            "user_id": user_id,
            "now_ms": tx.now_ms,
            "expires_ms": new.expires_ms,
            "user_agent": new.user_agent,
        },
    )
    await _add_refresh(tx, new.refresh_hash, new.session_id)
    beyond = await tx.rows(
        "SELECT id FROM sessions WHERE user_id = :user_id AND ended_ms IS NULL"
        " ORDER BY created_ms DESC, id DESC LIMIT -1 OFFSET :cap",
        {"user_id": user_id, "cap": SESSIONS_PER_USER},
    )
    for (session_id,) in beyond:
        await _end(tx, user_id, session_id)


async def end_sessions(tx: Transaction, user_id: str, *, but: str | None = None) -> None:
    """End all sessions of a user, perhaps but one."""
    rows = await tx.rows(
        "SELECT id FROM sessions WHERE user_id = :user_id AND ended_ms IS NULL AND id IS NOT :but",
        {"user_id": user_id, "but": but},
    )
    for (session_id,) in rows:
        await _end(tx, user_id, session_id)


async def _end(tx: Transaction, user_id: str, session_id: str) -> None:
    tx.later(
        "UPDATE sessions SET ended_ms = :now_ms WHERE id = :id AND ended_ms IS NULL",
        {"id": session_id, "now_ms": tx.now_ms},
    )
    tx.later("DELETE FROM tickets WHERE session_id = :id", {"id": session_id})
    await tx.log_user(user_id, UserOp.SESSION_ENDED, session_id=session_id)


async def _add_refresh(tx: Transaction, refresh_hash: bytes, session_id: str) -> None:
    tx.later(
        "INSERT INTO refresh_tokens (hash, session_id) VALUES (:hash, :session_id)",
        {"hash": refresh_hash, "session_id": session_id},
    )


@single
async def rotate(tx: Transaction, ask: Rotate) -> Rotated:
    """Exchange a refresh token; one that was used before ends the session (RFC 9700 section 4.14.2)."""
    row = await tx.row(
        "SELECT session_id, used_ms, s.user_id, s.ended_ms FROM refresh_tokens AS t"
        " JOIN sessions AS s ON s.id = t.session_id WHERE hash = :hash",
        {"hash": ask.old_hash},
    )
    if row is None:
        return Rotated(None, "")
    session_id, used_ms, user_id, ended_ms = row
    if used_ms is not None:
        if ended_ms is None:
            await _end(tx, user_id, session_id)
        return Rotated(None, session_id)
    at = {"session_id": session_id, "now_ms": tx.now_ms}
    found = await tx.row(_USER_OF, at)
    if found is None:
        return Rotated(None, session_id)
    tx.later("UPDATE refresh_tokens SET used_ms = :now_ms WHERE hash = :hash", at | {"hash": ask.old_hash})
    await _add_refresh(tx, ask.new_hash, session_id)
    tx.later(
        "UPDATE sessions SET last_seen_ms = :now_ms, expires_ms = :expires_ms WHERE id = :session_id",
        at | {"expires_ms": ask.expires_ms},
    )
    return Rotated(User(id=found[0], username=found[1]), session_id)


@single
async def end(tx: Transaction, ask: End) -> None:
    """End one session or all but one. Raises `NotFound` for one that is not the user's own or has ended."""
    if ask.session_id is None:
        await end_sessions(tx, ask.user_id, but=ask.but)
        return
    row = await tx.row(
        "SELECT 1 FROM sessions WHERE id = :id AND user_id = :user_id AND ended_ms IS NULL",
        {"id": ask.session_id, "user_id": ask.user_id},
    )
    if row is None:
        raise NotFound(f"there is no session {ask.session_id}")
    await _end(tx, ask.user_id, ask.session_id)


@single
async def seen(tx: Transaction, session_id: str) -> None:
    """Note that a session is in use."""
    tx.later("UPDATE sessions SET last_seen_ms = :now_ms WHERE id = :id", {"id": session_id, "now_ms": tx.now_ms})


@single
async def issue_ticket(tx: Transaction, ask: NewTicket) -> None:
    """Store a ticket. Raises `Unauthorized` if the session has ended."""
    if await tx.row(_USER_OF, {"session_id": ask.session_id, "now_ms": tx.now_ms}) is None:
        raise Unauthorized("the session has ended: sign in again")
    tx.later(
        "INSERT INTO tickets (hash, session_id, origin, access_expires_ms, expires_ms)"
        " VALUES (:hash, :session_id, :origin, :access_expires_ms, :expires_ms)",
        {
            "hash": ask.ticket_hash,
            "session_id": ask.session_id,
            "origin": ask.origin,
            "access_expires_ms": ask.access_expires_ms,
            "expires_ms": ask.expires_ms,
        },
    )


@single
async def redeem_ticket(tx: Transaction, ticket_hash: bytes) -> Ticket | None:
    """Take a ticket, once; None if it is unknown, used, too old, or its session has ended."""
    row = await tx.row(
        "DELETE FROM tickets WHERE hash = :hash RETURNING session_id, origin, access_expires_ms, expires_ms",
        {"hash": ticket_hash},
    )
    if row is None or row[3] <= tx.now_ms:
        return None
    found = await tx.row(_USER_OF, {"session_id": row[0], "now_ms": tx.now_ms})
    return None if found is None else Ticket(User(id=found[0], username=found[1]), row[0], row[1], row[2])
