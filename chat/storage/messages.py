"""Messages: storing them by the batch, and reading pages of history."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from chat.protocol.errors import ClientIdConflict, Fault, NotAMember, RoomNotFound
from chat.protocol.events import MessageSent
from chat.protocol.models import Message, ReactionCount, User
from chat.storage.connection import Readers
from chat.storage.ids import new_ids, rfc3339
from chat.storage.transaction import Transaction, bulk
from chat.storage.values import with_rows


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be stored; `content` is as the text policy left it."""

    room_id: str
    user_id: str
    username: str
    content: str
    client_id: str | None = None
    connection_id: str | None = None


class Sent(msgspec.Struct, frozen=True):
    """A stored message; `duplicate` where it was stored before."""

    message: Message
    duplicate: bool


class Page(NamedTuple):
    """A page of history, oldest first; `rev` is the room's head at this read."""

    messages: list[Message]
    has_more: bool
    rev: int


# One statement finds out all about a batch: each draft's room, membership and earlier message with its client_id.
_JUDGE = """
SELECT json_group_array(json_array(
    r.seq, r.rev, m.user_id IS NOT NULL,
    CASE WHEN s.id IS NULL THEN NULL ELSE json_array(s.id, s.room_id, s.seq, s.rev, s.sent_ms, s.content) END))
FROM {rows} AS d
LEFT JOIN rooms AS r ON r.id = d.column1 AND r.deleted_ms IS NULL
LEFT JOIN members AS m ON m.room_id = r.id AND m.user_id = d.column2
LEFT JOIN messages AS s ON s.sender_id = d.column2 AND s.client_id = d.column3
"""
_INSERT = """
INSERT INTO messages (id, room_id, seq, rev, sender_id, sent_ms, content, client_id)
SELECT * FROM {rows} WHERE column1 IS NOT NULL
"""
_LOG = """
INSERT INTO room_log (room_id, rev, at_ms, op, user_id, message_id)
SELECT column1, column2, column3, 'message', column4, column5 FROM {rows} WHERE column1 IS NOT NULL
"""
_ADVANCE_ROOMS = """
UPDATE rooms SET seq = head.column2, rev = head.column3 FROM {rows} AS head WHERE rooms.id = head.column1
"""
_ADVANCE_CURSORS = """
UPDATE members SET read_seq = moved.column3 FROM {rows} AS moved
WHERE members.room_id = moved.column1 AND members.user_id = moved.column2
"""


class _Found(msgspec.Struct, frozen=True, array_like=True):
    seq: int | None
    rev: int | None
    member: int
    earlier: tuple[str, str, int, int, int, str] | None  # id, room_id, seq, rev, sent_ms, content


_found = msgspec.json.Decoder(list[_Found])
_rows = msgspec.json.Decoder(list[list[Any]])


async def _judge(tx: Transaction, drafts: Sequence[Draft]) -> list[_Found]:
    row = await tx.row(*with_rows(_JUDGE, [(d.room_id, d.user_id, d.client_id) for d in drafts]))
    return _found.decode(row[0])[: len(drafts)] if row else []


@bulk
async def append(tx: Transaction, drafts: Sequence[Draft]) -> Sequence[Sent | Fault]:
    """Give each draft its place in its room and store all; the order of *drafts* is the order in the rooms.

    Per draft `RoomNotFound`, `NotAMember`, `ClientIdConflict`.
    """
    heads: dict[str, tuple[int, int]] = {}
    cursors: dict[tuple[str, str], int] = {}
    repeats: dict[tuple[str, str], Message] = {}
    rows: list[tuple[Any, ...]] = []
    outcomes: list[Sent | Fault] = []
    timestamp, ids = rfc3339(tx.now_ms), iter(new_ids("m", len(drafts), now_ms=tx.now_ms))
    for draft, found in zip(drafts, await _judge(tx, drafts), strict=True):
        settled = _already_settled(draft, found, repeats)
        if settled is not None:
            outcomes.append(settled)
            continue
        seq, rev = heads.get(draft.room_id) or (found.seq or 0, found.rev or 0)
        seq, rev = heads[draft.room_id] = seq + 1, rev + 1
        message = Message(
            id=next(ids),
            room_id=draft.room_id,
            seq=seq,
            rev=rev,
            sender=User(id=draft.user_id, username=draft.username),
            timestamp=timestamp,
            content=draft.content,
            client_id=draft.client_id or UNSET,
        )
        if draft.client_id is not None:
            repeats[draft.user_id, draft.client_id] = message
        cursors[draft.room_id, draft.user_id] = seq
        rows.append((message.id, draft.room_id, seq, rev, draft.user_id, tx.now_ms, draft.content, draft.client_id))
        tx.rooms.append(MessageSent(room_id=draft.room_id, rev=rev, message=message))
        if draft.connection_id is not None:
            tx.origins.append((message.id, draft.connection_id))
        outcomes.append(Sent(message, duplicate=False))
    if rows:
        _store(tx, rows, heads, cursors)
    return outcomes


def _already_settled(draft: Draft, found: _Found, repeats: dict[tuple[str, str], Message]) -> Sent | Fault | None:
    """The outcome of a draft that is refused or a repeat; None for one to be stored."""
    if found.seq is None:
        return RoomNotFound(draft.room_id)
    if not found.member:
        return NotAMember(draft.room_id)
    if draft.client_id is None:
        return None
    earlier = repeats.get((draft.user_id, draft.client_id))
    if earlier is None and found.earlier is not None:
        message_id, room_id, seq, rev, sent_ms, content = found.earlier
        earlier = Message(
            id=message_id,
            room_id=room_id,
            seq=seq,
            rev=rev,
            sender=User(id=draft.user_id, username=draft.username),
            timestamp=rfc3339(sent_ms),
            content=content,
            client_id=draft.client_id,
        )
    if earlier is None:
        return None
    if (earlier.room_id, earlier.content) != (draft.room_id, draft.content):
        return ClientIdConflict(draft.client_id)
    return Sent(earlier, duplicate=True)


def _store(
    tx: Transaction,
    rows: list[tuple[Any, ...]],
    heads: dict[str, tuple[int, int]],
    cursors: dict[tuple[str, str], int],
) -> None:
    # One step of SQLite per table, whatever the batch: its module lets go of the interpreter at every step and has
    # to wait to get it back, so `executemany` is slow where other threads are busy.
    tx.later(*with_rows(_INSERT, rows))
    tx.later(*with_rows(_LOG, [(room_id, rev, at, user, message) for message, room_id, _, rev, user, at, *_ in rows]))
    tx.later(*with_rows(_ADVANCE_ROOMS, [(room_id, *head) for room_id, head in heads.items()]))
    tx.later(*with_rows(_ADVANCE_CURSORS, [(*whose, seq) for whose, seq in cursors.items()]))


REACTIONS_OF = """CASE WHEN EXISTS (SELECT 1 FROM reactions WHERE message_id = m.id) THEN
    json((SELECT json_group_array(json_array(emoji, n, me)) FROM (
        SELECT emoji, count(*) AS n, max(user_id = :user_id) AS me FROM reactions
        WHERE message_id = m.id GROUP BY emoji ORDER BY min(reacted_ms), emoji)))
    ELSE json('[]') END"""
"""The reactions to the message `m`, as `:user_id` sees them."""

COLUMNS = f"""json_array(
    m.id, m.room_id, m.seq, m.rev, m.sender_id, u.username, m.sent_ms, m.content, m.client_id, {REACTIONS_OF})"""
"""A message `m` with its sender `u`, for `read_message`."""

_PAGE = """
SELECT r.rev, EXISTS (SELECT 1 FROM members WHERE room_id = r.id AND user_id = :user_id), (
    SELECT json_group_array(json({columns})) FROM (
        SELECT * FROM messages WHERE room_id = r.id AND {bound} ORDER BY seq {order} LIMIT :limit + 1) AS m
    JOIN users AS u ON u.id = m.sender_id)
FROM rooms AS r WHERE r.id = :room_id AND r.deleted_ms IS NULL
"""
_NEWEST = _PAGE.format(columns=COLUMNS, bound="1", order="DESC")
_BEFORE = _PAGE.format(columns=COLUMNS, bound="seq < :before", order="DESC")
_AFTER = _PAGE.format(columns=COLUMNS, bound="seq > :after", order="ASC")


def read_message(columns: Sequence[Any]) -> Message:
    """A message of what `COLUMNS` selected."""
    message_id, room_id, seq, rev, sender_id, username, sent_ms, content, client_id, reactions = columns
    return Message(
        id=message_id,
        room_id=room_id,
        seq=seq,
        rev=rev,
        sender=User(id=sender_id, username=username),
        timestamp=rfc3339(sent_ms),
        content=content,
        client_id=client_id or UNSET,
        reactions=read_reactions(reactions),
    )


def read_reactions(columns: Sequence[Any]) -> dict[str, ReactionCount]:
    """Counts by emoji of what `REACTIONS_OF` selected, the oldest first."""
    return {emoji: ReactionCount(count=count, me=bool(me)) for emoji, count, me in columns}


async def history(
    readers: Readers, *, room_id: str, user_id: str, limit: int, before: int | None = None, after: int | None = None
) -> Page:
    """Read a page: the newest, or next to a bound. Raises `RoomNotFound`, `NotAMember`.

    It costs the same at any depth: the index leads to the bound.
    """
    sql = _AFTER if after is not None else _BEFORE if before is not None else _NEWEST
    asked = {"room_id": room_id, "user_id": user_id, "limit": limit, "before": before, "after": after}
    row = await readers.row(sql, asked)
    if row is None:
        raise RoomNotFound(room_id)
    if not row[1]:
        raise NotAMember(room_id)
    found = sorted((read_message(columns) for columns in _rows.decode(row[2])), key=lambda m: m.seq)
    kept = found[:limit] if after is not None else found[-limit:]
    return Page(kept, len(found) > limit, row[0])
