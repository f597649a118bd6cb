"""What is not kept for ever, removed a little at a time so that nobody waits for it."""

from dataclasses import dataclass

from chat.storage.transaction import Transaction, single

CHUNK = 500
DAY_MS = 86_400_000
PRESENCE_LOG_MS = 3_600_000
DELETED_ROOM_MS = DAY_MS  # for followers on other processes, and for a mistake's repair from the file
ENDED_SESSION_MS = 7 * DAY_MS
RESUMABLE_EVENTS = 1_000  # what a client may be behind and still resume


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How long logs are kept, in days; `room_log_days` 0: for ever."""

    user_log_days: int
    room_log_days: int


# Each removes at most a chunk and returns what it removed; a room's own row goes when nothing refers to it any more.
_STATEMENTS = """
DELETE FROM user_log WHERE (user_id, n) IN (
    SELECT user_id, n FROM user_log WHERE at_ms < :user_log_before LIMIT :chunk) RETURNING 1;

DELETE FROM presence_log WHERE n IN (
    SELECT n FROM presence_log WHERE at_ms < :presence_log_before LIMIT :chunk) RETURNING 1;

DELETE FROM tickets WHERE hash IN (SELECT hash FROM tickets WHERE expires_ms <= :now_ms LIMIT :chunk) RETURNING 1;

DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE expires_ms < :session_before OR ended_ms < :session_before LIMIT :chunk) RETURNING 1;

DELETE FROM invites WHERE hash IN (
    SELECT hash FROM invites WHERE expires_ms <= :now_ms AND used_by IS NULL LIMIT :chunk) RETURNING 1;

DELETE FROM messages WHERE id IN (
    SELECT m.id FROM rooms AS r JOIN messages AS m ON m.room_id = r.id
    WHERE r.deleted_ms < :room_before LIMIT :chunk) RETURNING 1;

DELETE FROM room_log WHERE (room_id, rev) IN (
    SELECT l.room_id, l.rev FROM rooms AS r JOIN room_log AS l ON l.room_id = r.id
    WHERE r.deleted_ms < :room_before LIMIT :chunk) RETURNING 1;

DELETE FROM rooms WHERE id IN (
    SELECT id FROM rooms AS r WHERE deleted_ms < :room_before
    AND NOT EXISTS (SELECT 1 FROM messages WHERE room_id = r.id)
    AND NOT EXISTS (SELECT 1 FROM room_log WHERE room_id = r.id) LIMIT :chunk) RETURNING 1
"""
_STEPS = tuple(_STATEMENTS.split(";"))
_OLD_EVENTS = """
DELETE FROM room_log WHERE (room_id, rev) IN (
    SELECT l.room_id, l.rev FROM rooms AS r JOIN room_log AS l ON l.room_id = r.id AND l.rev <= r.rev - :resumable
    WHERE (SELECT at_ms FROM room_log WHERE room_id = r.id ORDER BY rev LIMIT 1) < :room_log_before
    AND l.at_ms < :room_log_before LIMIT :chunk) RETURNING 1
"""


@single
async def prune(tx: Transaction, keep: Keep) -> int:
    """Remove a chunk of what is old enough from each table; returns how many rows went. 0: all is done."""
    limits = {
        "chunk": CHUNK,
        "now_ms": tx.now_ms,
        "resumable": RESUMABLE_EVENTS,
        "user_log_before": tx.now_ms - keep.user_log_days * DAY_MS,
        "presence_log_before": tx.now_ms - PRESENCE_LOG_MS,
        "session_before": tx.now_ms - ENDED_SESSION_MS,
        "room_before": tx.now_ms - DELETED_ROOM_MS,
        "room_log_before": tx.now_ms - keep.room_log_days * DAY_MS,
    }
    steps = (*_STEPS, _OLD_EVENTS) if keep.room_log_days else _STEPS
    return sum([len(await tx.rows(step, limits)) for step in steps])
