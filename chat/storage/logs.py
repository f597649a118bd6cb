"""Reading the logs: what happened in a room after a revision, to a user after a number, and how far they go."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from chat.protocol.errors import NotAMember, RoomNotFound
from chat.protocol.events import MemberChanged, MessageSent, ReactionChanged, RoomChanged, RoomEvent
from chat.protocol.log import UserEvent, UserOp
from chat.protocol.models import Message, User
from chat.storage.connection import Readers
from chat.storage.ids import rfc3339

_rows = msgspec.json.Decoder(list[list[Any]])

_EVENTS = """
SELECT json_group_array(json_array(
    l.rev, l.op, l.user_id, u.username, l.message_id, l.emoji, l.count, l.name,
    m.seq, m.sent_ms, m.content, m.client_id))
FROM (SELECT * FROM room_log WHERE room_id = :room_id AND rev > :after_rev ORDER BY rev LIMIT :limit) AS l
LEFT JOIN users AS u ON u.id = l.user_id
LEFT JOIN messages AS m ON l.op = 'message' AND m.id = l.message_id
"""
_CATCH_UP = f"""
SELECT r.rev, r.deleted_ms IS NOT NULL,
    EXISTS (SELECT 1 FROM members WHERE room_id = r.id AND user_id = :user_id), ({_EVENTS})
FROM rooms AS r WHERE r.id = :room_id
"""
_ROOM_HEADS = """
SELECT json_group_array(json_array(r.id, r.rev, r.seq, r.deleted_ms IS NOT NULL))
FROM json_each(:ids) AS j JOIN rooms AS r ON r.id = j.value
"""
_USER_EVENTS = """
SELECT json_group_array(json_array(n, op, room_id, rev, read_seq, unread, session_id, connection_id))
FROM (SELECT * FROM user_log WHERE user_id = :user_id AND n > :after_n ORDER BY n LIMIT :limit)
"""
_USER_HEADS = """
SELECT json_group_array(json_array(u.id, u.log_n)) FROM json_each(:ids) AS j JOIN users AS u ON u.id = j.value
"""


class CatchUp(NamedTuple):
    """Events after a revision as one user may see them; `head_rev` is the room's head at this read."""

    events: list[RoomEvent]
    head_rev: int


async def room_events(readers: Readers, room_id: str, *, after_rev: int, limit: int) -> list[RoomEvent]:
    """A room's events after a revision, in order; those of a deleted room up to its `delete`, while they are kept."""
    row = await readers.row(_EVENTS, {"room_id": room_id, "after_rev": after_rev, "limit": limit})
    return _read_events(room_id, row[0]) if row else []


async def catch_up(readers: Readers, room_id: str, *, user_id: str, after_rev: int, limit: int) -> CatchUp:
    """As `room_events`, for one member, with the head. Raises `RoomNotFound`, `NotAMember`."""
    asked = {"room_id": room_id, "user_id": user_id, "after_rev": after_rev, "limit": limit}
    row = await readers.row(_CATCH_UP, asked)
    if row is None or row[1]:
        raise RoomNotFound(room_id)
    if not row[2]:
        raise NotAMember(room_id)
    return CatchUp(_read_events(room_id, row[3]), row[0])


def _read_events(room_id: str, encoded: str) -> list[RoomEvent]:
    return sorted((_read_event(room_id, columns) for columns in _rows.decode(encoded)), key=lambda event: event.rev)


def _read_event(room_id: str, columns: list[Any]) -> RoomEvent:
    rev, op, user_id, username, message_id, emoji, count, name, *message = columns
    user = User(id=user_id or "", username=username)
    if op == "message":
        return MessageSent(room_id=room_id, rev=rev, message=_as_created(room_id, rev, message_id, user, message))
    if op in {"add", "remove"}:
        return ReactionChanged(
            room_id=room_id, rev=rev, message_id=message_id, emoji=emoji, user=user, op=op, count=count
        )
    if op in {"join", "leave"}:
        return MemberChanged(room_id=room_id, rev=rev, user=user, op=op)
    if op == "owner":
        return RoomChanged(room_id=room_id, rev=rev, op=op, owner=user if user_id else None)
    return RoomChanged(room_id=room_id, rev=rev, op=op, name=name or UNSET)


def _as_created(room_id: str, rev: int, message_id: str, sender: User, columns: list[Any]) -> Message:
    seq, sent_ms, content, client_id = columns
    return Message(
        id=message_id,
        room_id=room_id,
        seq=seq,
        rev=rev,
        sender=sender,
        timestamp=rfc3339(sent_ms),
        content=content,
        client_id=client_id or UNSET,
    )


async def room_heads(readers: Readers, room_ids: Iterable[str]) -> dict[str, tuple[int, int] | None]:
    """`(rev, seq)` of each room; None for a deleted or unknown one."""
    heads: dict[str, tuple[int, int] | None] = dict.fromkeys(room_ids)
    row = await readers.row(_ROOM_HEADS, {"ids": msgspec.json.encode(list(heads)).decode()})
    for room_id, rev, seq, deleted in _rows.decode(row[0]) if row else []:
        if not deleted:
            heads[room_id] = (rev, seq)
    return heads


async def user_events(readers: Readers, user_id: str, *, after_n: int, limit: int) -> list[UserEvent]:
    """A user's own events after a number, in order. A gap means that older ones are no longer kept."""
    row = await readers.row(_USER_EVENTS, {"user_id": user_id, "after_n": after_n, "limit": limit})
    found = [
        UserEvent(
            user_id=user_id,
            n=n,
            op=UserOp(op),
            room_id=room_id,
            rev=rev,
            read_seq=read_seq,
            unread=unread,
            session_id=session_id,
            connection_id=connection_id,
        )
        for n, op, room_id, rev, read_seq, unread, session_id, connection_id in _rows.decode(row[0] if row else "[]")
    ]
    return sorted(found, key=lambda event: event.n)


async def user_heads(readers: Readers, user_ids: Iterable[str]) -> dict[str, int]:
    """The head of each user's own log (0 for an unknown user)."""
    heads = dict.fromkeys(user_ids, 0)
    row = await readers.row(_USER_HEADS, {"ids": msgspec.json.encode(list(heads)).decode()})
    heads.update(dict(_rows.decode(row[0])) if row else {})
    return heads
