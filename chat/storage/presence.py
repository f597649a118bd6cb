"""Presence: a row for each user connected to a process, good for as long as the process renews its lease."""

from dataclasses import dataclass
from typing import Any

import msgspec

from chat.protocol.log import PresenceEvent
from chat.protocol.models import User
from chat.storage.connection import Readers
from chat.storage.ids import rfc3339
from chat.storage.transaction import Transaction, single

_rows = msgspec.json.Decoder(list[list[Any]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What changed on a process since its last word, and until when it can be believed to live.

    `held` users stay online without a connection until the time given (milliseconds). A lease of 0: the process is
    gone, and its users with it.
    """

    process_id: str
    lease_until_ms: int
    online: tuple[str, ...] = ()
    offline: tuple[str, ...] = ()
    held: tuple[tuple[str, int], ...] = ()


_LAPSED = """
SELECT user_id FROM presence WHERE process_id = '' AND until_ms <= :now_ms
UNION ALL
SELECT p.user_id FROM processes AS q JOIN presence AS p ON p.process_id = q.id WHERE q.lease_until_ms <= :now_ms
"""
_FORGET_LAPSED = (
    "DELETE FROM presence WHERE process_id = '' AND until_ms <= :now_ms",
    "DELETE FROM presence WHERE process_id IN (SELECT id FROM processes WHERE lease_until_ms <= :now_ms)",
    "DELETE FROM processes WHERE lease_until_ms <= :now_ms",
)
_RENEW = """
INSERT INTO processes (id, lease_until_ms) VALUES (:process_id, :lease_until_ms)
ON CONFLICT (id) DO UPDATE SET lease_until_ms = excluded.lease_until_ms
"""
_HOLD = """
INSERT INTO presence (user_id, process_id, until_ms)
SELECT u.id, '', j.value ->> 1 FROM json_each(:users) AS j JOIN users AS u ON u.id = j.value ->> 0 WHERE true
ON CONFLICT (user_id, process_id) DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)
"""
_CONNECT = """
INSERT INTO presence (user_id, process_id)
SELECT u.id, :process_id FROM json_each(:users) AS j JOIN users AS u ON u.id = j.value WHERE true
ON CONFLICT (user_id, process_id) DO NOTHING
"""
_FORGET_HELD = "DELETE FROM presence WHERE process_id = '' AND user_id IN (SELECT value FROM json_each(:users))"
_DISCONNECT = """
DELETE FROM presence WHERE process_id = :process_id AND user_id IN (SELECT value FROM json_each(:users))
"""
_ONLINE = "SELECT DISTINCT p.user_id FROM json_each(:users) AS j JOIN presence AS p ON p.user_id = j.value"
_LOG = """
INSERT INTO presence_log (user_id, online, at_ms)
SELECT j.value ->> 0, j.value ->> 1, :now_ms FROM json_each(:changes) AS j ORDER BY j.key RETURNING n
"""
_ACTIVE = """
UPDATE users SET last_active_ms = :now_ms WHERE erased_ms IS NULL AND id IN (SELECT value FROM json_each(:users))
"""
_CHANGES = """
SELECT json_group_array(json_array(l.n, l.user_id, u.username, l.online, l.at_ms))
FROM (SELECT * FROM presence_log WHERE n > :after ORDER BY n LIMIT :limit) AS l JOIN users AS u ON u.id = l.user_id
"""


def _json(values: object) -> str:
    return msgspec.json.encode(values).decode()


async def _online(tx: Transaction, users: list[str]) -> set[str]:
    return {user_id for (user_id,) in await tx.rows(_ONLINE, {"users": _json(users)})}


@single
async def change(tx: Transaction, ask: Change) -> None:
    """Take over what a process says, forget whose time has run out, and log who thereby came or went."""
    at: dict[str, Any] = {
        "process_id": ask.process_id,
        "lease_until_ms": ask.lease_until_ms,
        "now_ms": tx.now_ms,
    }
    tx.later(_RENEW, at)
    lapsed = [user_id for (user_id,) in await tx.rows(_LAPSED, at)]
    users = list(dict.fromkeys([*ask.online, *ask.offline, *(user_id for user_id, _ in ask.held), *lapsed]))
    if not users:
        return
    before = await _online(tx, users)
    for forget in _FORGET_LAPSED if lapsed else ():
        tx.later(forget, at)
    if ask.online:
        tx.later(_CONNECT, at | {"users": _json(ask.online)})
        tx.later(_FORGET_HELD, {"users": _json(ask.online)})
    if ask.held:
        tx.later(_HOLD, {"users": _json(ask.held)})
    if ask.offline:
        tx.later(_DISCONNECT, at | {"users": _json(ask.offline)})
    await _note(tx, users, before, await _online(tx, users))


async def _note(tx: Transaction, users: list[str], before: set[str], after: set[str]) -> None:
    changed = [(user_id, user_id in after) for user_id in users if (user_id in before) != (user_id in after)]
    if not changed:
        return
    tx.later(_ACTIVE, {"users": _json([user_id for user_id, _ in changed]), "now_ms": tx.now_ms})
    numbers = await tx.rows(_LOG, {"changes": _json(changed), "now_ms": tx.now_ms})
    last_n = max(n for (n,) in numbers)
    tx.presence += await changes_between(tx, after=last_n - len(changed), limit=len(changed))


async def changes_between(source: Transaction | Readers, *, after: int, limit: int) -> list[PresenceEvent]:
    """Who came or went after a number, in order."""
    row = await source.row(_CHANGES, {"after": after, "limit": limit})
    found = _rows.decode(row[0]) if row else []
    return [
        PresenceEvent(n=n, user=User(id=user_id, username=username), online=bool(online), last_active=rfc3339(at_ms))
        for n, user_id, username, online, at_ms in sorted(found, key=lambda columns: int(columns[0]))
    ]


async def head(readers: Readers) -> int:
    """The number of the newest change."""
    row = await readers.row("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'presence_log'")
    return int(row[0]) if row else 0


async def lapsing(readers: Readers, *, now_ms: int) -> bool:
    """Whether somebody's time has run out."""
    return bool(await readers.rows(f"{_LAPSED} LIMIT 1", {"now_ms": now_ms}))


async def online(readers: Readers, user_ids: list[str]) -> dict[str, tuple[bool, str | None]]:
    """Per user whether online, and when last active (None: never connected)."""
    rows = await readers.rows(
        "SELECT u.id, EXISTS (SELECT 1 FROM presence WHERE user_id = u.id), u.last_active_ms"
        " FROM json_each(:users) AS j JOIN users AS u ON u.id = j.value",
        {"users": _json(user_ids)},
    )
    return {user_id: (bool(on), None if at_ms is None else rfc3339(at_ms)) for user_id, on, at_ms in rows}
