"""Reading rooms: browsing, one, one's own, the members."""

from typing import Any

import msgspec

from chat.protocol.errors import NotAMember, RoomNotFound
from chat.protocol.log import Snapshot
from chat.protocol.models import Member, MyRoom, Room, RoomState, User
from chat.storage.connection import Readers
from chat.storage.ids import rfc3339
from chat.storage.messages import COLUMNS, read_message
from chat.storage.rooms import ROOM, read_room

_rows = msgspec.json.Decoder(list[list[Any]])

_ONE = f"{ROOM} WHERE r.id = :id AND r.deleted_ms IS NULL"
_BROWSE = f"{ROOM} WHERE r.key > :after AND (:query = '' OR instr(r.key, :query)) ORDER BY r.key LIMIT :limit + 1"

_MINE = f"""
SELECT json_group_array(json_array(
    json_array(r.id, r.name, r.created_ms, r.owner_id, o.username, r.member_count, r.seq, r.rev),
    mine.read_seq,
    CASE WHEN m.id IS NULL THEN NULL ELSE json({COLUMNS}) END))
FROM members AS mine
JOIN rooms AS r ON r.id = mine.room_id
LEFT JOIN users AS o ON o.id = r.owner_id
LEFT JOIN messages AS m ON m.room_id = r.id AND m.seq = r.seq
LEFT JOIN users AS u ON u.id = m.sender_id
WHERE mine.user_id = :user_id
"""

_MEMBERS = """
SELECT EXISTS (SELECT 1 FROM members WHERE room_id = r.id AND user_id = :user_id), (
    SELECT json_group_array(json_array(u.id, u.username, u.id = r.owner_id, u.last_active_ms,
        EXISTS (SELECT 1 FROM presence WHERE user_id = u.id)))
    FROM (SELECT user_id FROM members WHERE room_id = r.id ORDER BY joined_rev) AS m
    JOIN users AS u ON u.id = m.user_id)
FROM rooms AS r WHERE r.id = :room_id AND r.deleted_ms IS NULL
"""

_SNAPSHOT = """
SELECT u.log_n, (
    SELECT json_group_array(json_array(r.id, r.name, r.rev, r.seq, m.read_seq))
    FROM members AS m JOIN rooms AS r ON r.id = m.room_id WHERE m.user_id = u.id)
FROM users AS u WHERE u.id = :user_id
"""

_IS_MEMBER = """
SELECT EXISTS (SELECT 1 FROM members WHERE room_id = r.id AND user_id = :user_id)
FROM rooms AS r WHERE r.id = :room_id AND r.deleted_ms IS NULL
"""


async def one(readers: Readers, room_id: str) -> Room:
    """Read a room. Raises `RoomNotFound`."""
    row = await readers.row(_ONE, {"id": room_id})
    if row is None:
        raise RoomNotFound(room_id)
    return read_room(row[:-1])


async def browse(readers: Readers, *, query: str, limit: int, after: str) -> tuple[list[Room], str | None]:
    """Rooms whose key holds *query*, ordered by key, after the key *after*; and the key to go on after."""
    rows = await readers.rows(_BROWSE, {"query": query, "limit": limit, "after": after})
    rooms = [read_room(row[:-1]) for row in rows[:limit]]
    return rooms, rows[limit - 1][-1] if len(rows) > limit else None


async def mine(readers: Readers, user_id: str) -> list[MyRoom]:
    """The rooms of a user, the one with the newest message first."""
    row = await readers.row(_MINE, {"user_id": user_id})
    rooms = []
    for room_columns, read_seq, last in _rows.decode(row[0]) if row else []:
        room = read_room(room_columns)
        last_message = msgspec.UNSET if last is None else read_message(last)
        rooms.append(MyRoom(room=room, unread=room.seq - read_seq, read_seq=read_seq, last_message=last_message))
    return sorted(rooms, key=_newest, reverse=True)


def _newest(mine: MyRoom) -> tuple[str, str]:
    return (mine.last_message.timestamp if mine.last_message else mine.room.created_at, mine.room.id)


async def members(readers: Readers, *, room_id: str, user_id: str) -> list[Member]:
    """The members of a room, the longest-standing first. Raises `RoomNotFound`, `NotAMember`."""
    row = await readers.row(_MEMBERS, {"room_id": room_id, "user_id": user_id})
    if row is None:
        raise RoomNotFound(room_id)
    if not row[0]:
        raise NotAMember(room_id)
    return [
        Member(
            user=User(id=member_id, username=username),
            role="owner" if owns else "member",
            online=bool(online),
            last_active=None if last_active_ms is None else rfc3339(last_active_ms),
        )
        for member_id, username, owns, last_active_ms, online in _rows.decode(row[1])
    ]


async def snapshot(readers: Readers, user_id: str) -> Snapshot:
    """Where the user stands everywhere, in one consistent read."""
    row = await readers.row(_SNAPSHOT, {"user_id": user_id})
    if row is None:
        return Snapshot(n=0, rooms=[])
    return Snapshot(
        n=row[0],
        rooms=[
            RoomState(room_id=room_id, name=name, rev=rev, seq=seq, read_seq=read_seq, unread=seq - read_seq)
            for room_id, name, rev, seq, read_seq in _rows.decode(row[1])
        ],
    )


async def is_member(readers: Readers, *, room_id: str, user_id: str) -> bool | None:
    """Whether the user is in the room; None if there is no such room."""
    row = await readers.row(_IS_MEMBER, {"room_id": room_id, "user_id": user_id})
    return None if row is None else bool(row[0])


async def require_member(readers: Readers, *, room_id: str, user_id: str) -> None:
    """Raise `RoomNotFound` or `NotAMember` for a room that is not theirs to use."""
    found = await is_member(readers, room_id=room_id, user_id=user_id)
    if found is None:
        raise RoomNotFound(room_id)
    if not found:
        raise NotAMember(room_id)
