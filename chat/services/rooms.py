"""Rooms: making, finding, renaming, deleting, joining, leaving."""

import base64
import binascii
from collections.abc import Container

from msgspec.structs import replace

from chat.protocol.errors import InvalidField, NotFound, RoomNotFound
from chat.protocol.log import Who
from chat.protocol.models import Member, MyRoom, Room, User
from chat.services import texts
from chat.storage import room_reads, rooms
from chat.storage.rooms import Create, Delete, Join, Leave, Remove, Rename
from chat.storage.store import Store
from chat.text import KEY_VERSION, RoomName, room_name, room_query


class Rooms:
    """Everybody's rooms."""

    def __init__(self, store: Store, *, max_rooms_per_user: int) -> None:
        self._store, self._max_rooms = store, max_rooms_per_user

    async def create(self, who: Who, raw_name: str) -> Room:
        """Make a room; its creator is member and owner. Raises `InvalidText`, `TooMany`, `RoomNameTaken`."""
        name = _name(raw_name)
        ask = Create(
            user=_user(who),
            name=name.display,
            key=name.key,
            key_version=KEY_VERSION,
            max_rooms=self._max_rooms,
        )
        return await self._store.writer.submit(rooms.create, ask)

    async def browse(
        self, *, query: str = "", limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Room], str | None]:
        """Rooms whose key holds the key of *query*, ordered by key, and where to go on. Raises `InvalidText`."""
        with texts.judged("query"):
            wanted = room_query(query)
        after = "" if cursor is None else _opened(cursor)
        limit = texts.within(limit, "limit")
        found, last_key = await room_reads.browse(self._store.readers, query=wanted, limit=limit, after=after)
        return found, None if last_key is None else _closed(last_key)

    async def get(self, room_id: str) -> Room:
        """One room. Raises `RoomNotFound`."""
        return await room_reads.one(self._store.readers, _id(room_id))

    async def rename(self, who: Who, room_id: str, raw_name: str) -> Room:
        """Rename one's own room. Raises `InvalidText`, `RoomNotFound`, `NotAMember`, `Forbidden`, `RoomNameTaken`."""
        name = _name(raw_name)
        ask = Rename(
            room_id=_id(room_id),
            user_id=who.user_id,
            name=name.display,
            key=name.key,
            key_version=KEY_VERSION,
        )
        return await self._store.writer.submit(rooms.rename, ask)

    async def delete(self, who: Who, room_id: str) -> None:
        """Delete one's own room; its name is free again. Raises `RoomNotFound`, `NotAMember`, `Forbidden`."""
        await self._store.writer.submit(rooms.delete, Delete(room_id=_id(room_id), user_id=who.user_id))

    async def join(self, who: Who, room_id: str) -> Room:
        """Become a member; idempotent. Raises `RoomNotFound`, `TooMany`."""
        ask = Join(room_id=_id(room_id), user=_user(who), max_rooms=self._max_rooms)
        return await self._store.writer.submit(rooms.join, ask)

    async def leave(self, who: Who, room_id: str) -> None:
        """Stop being a member; idempotent. Raises `RoomNotFound`."""
        await self._store.writer.submit(rooms.leave, Leave(room_id=_id(room_id), user=_user(who)))

    async def remove_member(self, who: Who, room_id: str, user_id: str) -> None:
        """Remove someone from one's own room. Raises `RoomNotFound`, `NotAMember`, `Forbidden`, `NotFound`."""
        member_id = texts.row_id(user_id, missing=lambda _: NotFound("there is no such member"))
        ask = Remove(room_id=_id(room_id), owner_id=who.user_id, user_id=member_id)
        await self._store.writer.submit(rooms.remove, ask)

    async def members(
        self, who: Who, room_id: str, *, online_only: bool = False, connected: Container[str] = ()
    ) -> list[Member]:
        """The members with presence, the longest-standing first. Raises `RoomNotFound`, `NotAMember`.

        Users in *connected* are online although the database may not have been told yet.
        """
        found = await room_reads.members(self._store.readers, room_id=_id(room_id), user_id=who.user_id)
        now = [replace(m, online=True) if not m.online and m.user.id in connected else m for m in found]
        return [member for member in now if member.online or not online_only]

    async def mine(self, who: Who) -> list[MyRoom]:
        """The rooms one is in, the one with the newest message first."""
        return await room_reads.mine(self._store.readers, who.user_id)


def _user(who: Who) -> User:
    return User(id=who.user_id, username=who.username)


def _id(room_id: str) -> str:
    return texts.row_id(room_id, missing=RoomNotFound)


def _name(raw: str) -> RoomName:
    with texts.judged("name"):
        return room_name(raw)


def _closed(key: str) -> str:
    """A cursor that is opaque to clients: a key is never shown as such."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _opened(cursor: str) -> str:
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as fault:
        raise InvalidField("cursor", "this is no cursor that the server gave") from fault
    if _closed(key) != cursor:
        raise InvalidField("cursor", "this is no cursor that the server gave")
    return key
