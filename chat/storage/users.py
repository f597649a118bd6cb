"""Accounts: making, finding, changing, disabling and erasing them."""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from chat.protocol.errors import BadCredentials, Forbidden, NotFound, UsernameTaken
from chat.protocol.log import UserOp
from chat.protocol.models import User
from chat.storage.connection import Readers
from chat.storage.ids import new_id
from chat.storage.rooms import depart
from chat.storage.sessions import NewSession, begin_session, end_sessions
from chat.storage.transaction import Transaction, single


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A new account with its first session; `invite_hash` where only the invited may register."""

    username: str
    key: str
    key_version: int
    lookalikes: tuple[str, ...]
    password_hash: str
    session: NewSession
    needs_invite: bool = False
    invite_hash: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A session for an account whose password was just verified against `password_hash`."""

    user_id: str
    password_hash: str
    session: NewSession


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPassword:
    """Another password hash; all sessions but `keep_session_id` end."""

    user_id: str
    password_hash: str
    keep_session_id: str | None


class Credentials(NamedTuple):
    """What signing in is judged by."""

    user_id: str
    username: str
    password_hash: str


_ACTIVE = "erased_ms IS NULL AND disabled_ms IS NULL"


async def credentials(readers: Readers, *, key: str | None = None, user_id: str | None = None) -> Credentials | None:
    """The credentials of an account that may sign in."""
    row = await readers.row(
        f"SELECT id, username, password_hash FROM users WHERE (username_key = :key OR id = :id) AND {_ACTIVE}",
        {"key": key, "id": user_id},
    )
    return None if row is None else Credentials(*row)


async def taken(readers: Readers, *, key: str, lookalikes: tuple[str, ...]) -> bool:
    """Whether another account has the name, or one that looks like it."""
    return bool(await readers.rows(_TAKEN, _looks(key, lookalikes)))


async def find(readers: Readers, key: str) -> User | None:
    """The account with that key, disabled ones too."""
    row = await readers.row("SELECT id, username FROM users WHERE username_key = :key", {"key": key})
    return None if row is None else User(id=row[0], username=row[1])


_TAKEN = """
SELECT 1 FROM users WHERE username_key = :key
UNION ALL SELECT 1 FROM users WHERE username_skeleton IN (SELECT value FROM json_each(:looks)) LIMIT 1
"""


def _looks(key: str, lookalikes: tuple[str, ...]) -> dict[str, str]:
    return {"key": key, "looks": msgspec.json.encode(lookalikes).decode()}


@single
async def register(tx: Transaction, ask: Register) -> User:
    """Make the account and its first session. Raises `Forbidden` (a bad invite), `UsernameTaken`."""
    if ask.needs_invite and not await tx.rows(
        "SELECT 1 FROM invites WHERE hash = :hash AND used_by IS NULL AND expires_ms > :now_ms",
        {"hash": ask.invite_hash, "now_ms": tx.now_ms},
    ):
        raise Forbidden("an invite is needed, and this is not a good one", field="invite")
    if await tx.rows(_TAKEN, _looks(ask.key, ask.lookalikes)):
        raise UsernameTaken(ask.username)
    user_id = new_id("u", now_ms=tx.now_ms)
    tx.later(
        "INSERT INTO users (id, username, username_key, username_skeleton, key_version, password_hash, created_ms)"
        " VALUES (:id, :username, :key, :skeleton, :key_version, :password_hash, :now_ms)",
        {
            "id": user_id,
            "username": ask.username,
            "key": ask.key,
            "skeleton": ask.lookalikes[0],
            "key_version": ask.key_version,
            "password_hash": ask.password_hash,
            "now_ms": tx.now_ms,
        },
    )
    if ask.needs_invite:
        tx.later("UPDATE invites SET used_by = :id WHERE hash = :hash", {"id": user_id, "hash": ask.invite_hash})
    await begin_session(tx, user_id, ask.session)
    return User(id=user_id, username=ask.username)


@single
async def sign_in(tx: Transaction, ask: SignIn) -> None:
    """Begin a session. Raises `BadCredentials` if the password or the account changed since it was verified."""
    if not await tx.rows(
        f"SELECT 1 FROM users WHERE id = :id AND password_hash = :password_hash AND {_ACTIVE}",
        {"id": ask.user_id, "password_hash": ask.password_hash},
    ):
        raise BadCredentials
    await begin_session(tx, ask.user_id, ask.session)


@single
async def set_password(tx: Transaction, ask: SetPassword) -> None:
    """Store another password hash and end the other sessions."""
    tx.later(
        "UPDATE users SET password_hash = :password_hash WHERE id = :id",
        {"id": ask.user_id, "password_hash": ask.password_hash},
    )
    await end_sessions(tx, ask.user_id, but=ask.keep_session_id)


@single
async def disable(tx: Transaction, user_id: str) -> None:
    """Keep an account from signing in, and end what it has. Raises `NotFound`. Idempotent."""
    if not await tx.rows(
        "UPDATE users SET disabled_ms = coalesce(disabled_ms, :now_ms)"
        " WHERE id = :id AND erased_ms IS NULL RETURNING 1",
        {"id": user_id, "now_ms": tx.now_ms},
    ):
        raise NotFound(f"there is no user {user_id}")
    await tx.log_user(user_id, UserOp.ACCOUNT_GONE)  # first: sockets close with the first reason they hear
    await end_sessions(tx, user_id)


@single
async def enable(tx: Transaction, user_id: str) -> None:
    """Let a disabled account sign in again. Raises `NotFound`. Idempotent."""
    if not await tx.rows(
        "UPDATE users SET disabled_ms = NULL WHERE id = :id AND erased_ms IS NULL RETURNING 1", {"id": user_id}
    ):
        raise NotFound(f"there is no user {user_id}")


@single
async def erase(tx: Transaction, user_id: str) -> None:
    """Take the person out: name, password, sessions, memberships. Messages and reactions stay. Idempotent."""
    row = await tx.row("SELECT username FROM users WHERE id = :id AND erased_ms IS NULL", {"id": user_id})
    if row is None:
        return
    rooms = await tx.rows(
        "SELECT r.id, r.owner_id FROM members AS m JOIN rooms AS r ON r.id = m.room_id WHERE m.user_id = :id",
        {"id": user_id},
    )
    for room_id, owner_id in rooms:
        await depart(tx, room_id, User(id=user_id, username=None), owner_id=owner_id)
    await tx.log_user(user_id, UserOp.ACCOUNT_GONE)  # first: sockets close with the first reason they hear
    await end_sessions(tx, user_id)
    tx.later(
        "UPDATE users SET username = NULL, username_key = NULL, username_skeleton = NULL, password_hash = NULL,"
        " last_active_ms = NULL, erased_ms = :now_ms WHERE id = :id",
        {"id": user_id, "now_ms": tx.now_ms},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """Leave for one person to register."""

    invite_hash: bytes
    expires_ms: int


@single
async def invite(tx: Transaction, ask: Invite) -> None:
    """Store an invite."""
    tx.later(
        "INSERT INTO invites (hash, created_ms, expires_ms) VALUES (:hash, :now_ms, :expires_ms)",
        {"hash": ask.invite_hash, "now_ms": tx.now_ms, "expires_ms": ask.expires_ms},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehash:
    """The same password hashed anew."""

    user_id: str
    old: str
    new: str


@single
async def rehash(tx: Transaction, ask: Rehash) -> None:
    """Store the new hash, unless the password has changed meanwhile."""
    tx.later(
        "UPDATE users SET password_hash = :new WHERE id = :id AND password_hash = :old",
        {"id": ask.user_id, "old": ask.old, "new": ask.new},
    )
