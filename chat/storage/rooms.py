"""Rooms and their members: who may what, who owns, what each change leaves in the logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from chat.protocol.errors import Forbidden, NotAMember, NotFound, RoomNameTaken, RoomNotFound, TooMany
from chat.protocol.events import MemberChanged, RoomChanged
from chat.protocol.log import UserOp
from chat.protocol.models import Room, User
from chat.storage.ids import new_id, rfc3339
from chat.storage.transaction import Transaction, single

ROOM = """SELECT r.id, r.name, r.created_ms, r.owner_id, o.username, r.member_count, r.seq, r.rev, r.key
FROM rooms AS r LEFT JOIN users AS o ON o.id = r.owner_id"""
"""Selects what `read_room` reads, and the key."""


def read_room(row: Sequence[Any]) -> Room:
    """A room of the first columns that `ROOM` selected."""
    room_id, name, created_ms, owner_id, owner_name, member_count, seq, rev = row
    return Room(
        id=room_id,
        name=name,
        created_at=rfc3339(created_ms),
        owner=None if owner_id is None else User(id=owner_id, username=owner_name),
        member_count=member_count,
        seq=seq,
        rev=rev,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A new room; `key` as the text policy derives it."""

    user: User
    name: str
    key: str
    key_version: int
    max_rooms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """Another name for a room, by its owner."""

    room_id: str
    user_id: str
    name: str
    key: str
    key_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """A user who wants in."""

    room_id: str
    user: User
    max_rooms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """A user who wants out."""

    room_id: str
    user: User


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """A member to be removed by the owner."""

    room_id: str
    owner_id: str
    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """A room to be deleted by its owner."""

    room_id: str
    user_id: str


class _Standing(NamedTuple):
    """A room as one user stands to it."""

    name: str
    owner_id: str | None
    member_count: int
    seq: int
    is_member: bool


async def _standing(tx: Transaction, room_id: str, user_id: str) -> _Standing:
    row = await tx.row(
        "SELECT name, owner_id, member_count, seq,"
        " EXISTS (SELECT 1 FROM members WHERE room_id = r.id AND user_id = :user_id)"
        " FROM rooms AS r WHERE id = :room_id AND deleted_ms IS NULL",
        {"room_id": room_id, "user_id": user_id},
    )
    if row is None:
        raise RoomNotFound(room_id)
    name, owner_id, member_count, seq, is_member = row
    return _Standing(name, owner_id, member_count, seq, bool(is_member))


async def _owned(tx: Transaction, room_id: str, user_id: str) -> _Standing:
    standing = await _standing(tx, room_id, user_id)
    if not standing.is_member:
        raise NotAMember(room_id)
    if standing.owner_id != user_id:
        raise Forbidden("only the room's owner may do this")
    return standing


async def _room(tx: Transaction, room_id: str) -> Room:
    row = await tx.row(f"{ROOM} WHERE r.id = :id", {"id": room_id})
    if row is None:
        raise RoomNotFound(room_id)
    return read_room(row[:-1])


async def _user(tx: Transaction, user_id: str) -> User:
    row = await tx.row("SELECT username FROM users WHERE id = :id", {"id": user_id})
    return User(id=user_id, username=row[0] if row else None)


async def _refuse_taken(tx: Transaction, key: str, name: str, *, but: str = "") -> None:
    if await tx.row("SELECT 1 FROM rooms WHERE key = :key AND id <> :but", {"key": key, "but": but}):
        raise RoomNameTaken(name)


async def _refuse_too_many(tx: Transaction, user_id: str, max_rooms: int) -> None:
    row = await tx.row("SELECT count(*) FROM members WHERE user_id = :id", {"id": user_id})
    if row and row[0] >= max_rooms:
        raise TooMany(f"you can be in at most {max_rooms} rooms")


async def _enter(tx: Transaction, room_id: str, user: User) -> None:
    """The join itself: cursor at the head, the room's event, the user's own."""
    rev = await tx.log_room(room_id, "join", user_id=user.id)
    cursor = await tx.row(
        "INSERT INTO members (room_id, user_id, joined_rev, read_seq)"
        " SELECT id, :user_id, :rev, seq FROM rooms WHERE id = :room_id RETURNING read_seq",
        {"room_id": room_id, "user_id": user.id, "rev": rev},
    )
    tx.later("UPDATE rooms SET member_count = member_count + 1 WHERE id = :id", {"id": room_id})
    tx.rooms.append(MemberChanged(room_id=room_id, rev=rev, user=user, op="join"))
    await tx.log_user(user.id, UserOp.JOINED, room_id=room_id, rev=rev, read_seq=cursor[0] if cursor else None)


async def depart(tx: Transaction, room_id: str, user: User, *, owner_id: str | None) -> None:
    """The leave itself; a leaving owner is followed by the longest-standing member, if there is one."""
    rev = await tx.log_room(room_id, "leave", user_id=user.id)
    at = {"room_id": room_id, "user_id": user.id}
    tx.later("DELETE FROM members WHERE room_id = :room_id AND user_id = :user_id", at)
    tx.later("UPDATE rooms SET member_count = member_count - 1 WHERE id = :room_id", at)
    tx.rooms.append(MemberChanged(room_id=room_id, rev=rev, user=user, op="leave"))
    await tx.log_user(user.id, UserOp.LEFT, room_id=room_id, rev=rev)
    if owner_id == user.id:
        heir = await tx.row(
            "SELECT user_id FROM members WHERE room_id = :room_id ORDER BY joined_rev LIMIT 1", {"room_id": room_id}
        )
        await _own(tx, room_id, await _user(tx, heir[0]) if heir else None)


async def _own(tx: Transaction, room_id: str, owner: User | None) -> None:
    owner_id = owner.id if owner else None
    tx.later("UPDATE rooms SET owner_id = :owner_id WHERE id = :id", {"id": room_id, "owner_id": owner_id})
    rev = await tx.log_room(room_id, "owner", user_id=owner_id)
    tx.rooms.append(RoomChanged(room_id=room_id, rev=rev, op="owner", owner=owner))


@single
async def create(tx: Transaction, ask: Create) -> Room:
    """Make a room whose first event is its creator's join. Raises `TooMany`, `RoomNameTaken`."""
    await _refuse_too_many(tx, ask.user.id, ask.max_rooms)
    await _refuse_taken(tx, ask.key, ask.name)
    room_id = new_id("r", now_ms=tx.now_ms)
    tx.later(
        "INSERT INTO rooms (id, name, key, key_version, created_ms, owner_id)"
        " VALUES (:id, :name, :key, :key_version, :now_ms, :owner_id)",
        {
            "id": room_id,
            "name": ask.name,
            "key": ask.key,
            "key_version": ask.key_version,
            "now_ms": tx.now_ms,
            "owner_id": ask.user.id,
        },
    )
    await _enter(tx, room_id, ask.user)
    return await _room(tx, room_id)


@single
async def rename(tx: Transaction, ask: Rename) -> Room:
    """Give a room another name. Raises `RoomNotFound`, `NotAMember`, `Forbidden`, `RoomNameTaken`."""
    standing = await _owned(tx, ask.room_id, ask.user_id)
    await _refuse_taken(tx, ask.key, ask.name, but=ask.room_id)
    if standing.name != ask.name:
        tx.later(
            "UPDATE rooms SET name = :name, key = :key, key_version = :key_version WHERE id = :id",
            {"id": ask.room_id, "name": ask.name, "key": ask.key, "key_version": ask.key_version},
        )
        rev = await tx.log_room(ask.room_id, "rename", name=ask.name)
        tx.rooms.append(RoomChanged(room_id=ask.room_id, rev=rev, op="rename", name=ask.name))
    return await _room(tx, ask.room_id)


@single
async def delete(tx: Transaction, ask: Delete) -> None:
    """Delete a room; the last row of its log says so. Raises `RoomNotFound`, `NotAMember`, `Forbidden`."""
    await _owned(tx, ask.room_id, ask.user_id)
    rev = await tx.log_room(ask.room_id, "delete", user_id=ask.user_id)
    at = {"id": ask.room_id, "now_ms": tx.now_ms}
    tx.later("DELETE FROM members WHERE room_id = :id", at)
    tx.later("UPDATE rooms SET key = NULL, deleted_ms = :now_ms, owner_id = NULL, member_count = 0 WHERE id = :id", at)
    tx.rooms.append(RoomChanged(room_id=ask.room_id, rev=rev, op="delete"))


@single
async def join(tx: Transaction, ask: Join) -> Room:
    """Become a member; who joins an empty room owns it. Raises `RoomNotFound`, `TooMany`. Idempotent."""
    standing = await _standing(tx, ask.room_id, ask.user.id)
    if not standing.is_member:
        await _refuse_too_many(tx, ask.user.id, ask.max_rooms)
        await _enter(tx, ask.room_id, ask.user)
        if standing.member_count == 0:
            await _own(tx, ask.room_id, ask.user)
    return await _room(tx, ask.room_id)


@single
async def leave(tx: Transaction, ask: Leave) -> None:
    """Stop being a member. Raises `RoomNotFound`. Idempotent."""
    standing = await _standing(tx, ask.room_id, ask.user.id)
    if standing.is_member:
        await depart(tx, ask.room_id, ask.user, owner_id=standing.owner_id)


@single
async def remove(tx: Transaction, ask: Remove) -> None:
    """Remove a member. Raises `RoomNotFound`, `NotAMember`, `Forbidden`, `NotFound` for one who is not in the room."""
    standing = await _owned(tx, ask.room_id, ask.owner_id)
    member = await _standing(tx, ask.room_id, ask.user_id)
    if not member.is_member:
        raise NotFound(f"{ask.user_id} is not a member of this room")
    await depart(tx, ask.room_id, await _user(tx, ask.user_id), owner_id=standing.owner_id)
