"""Rooms and their members over HTTP."""

from msgspec import UNSET
from quart import Response

from chat.protocol import commands
from chat.protocol.answers import MembersAnswer, MyRoomsAnswer, RoomAnswer, RoomsAnswer
from chat.protocol.errors import Code
from chat.protocol.openapi import Query
from chat.web.call import LIMIT, Call, created, done, ok
from chat.web.routing import Route

PAGE = 50


async def mine(call: Call) -> Response:
    """GET /me/rooms"""
    return ok(MyRoomsAnswer(rooms=await call.site.chat.rooms.mine(call.who)))


async def create(call: Call, body: commands.CreateRoom) -> Response:
    """POST /rooms"""
    return created(RoomAnswer(room=await call.site.chat.rooms.create(call.who, body.name)))


async def browse(call: Call) -> Response:
    """GET /rooms"""
    limit, query, cursor = call.limit, call.query("query"), call.query("cursor")
    rooms, following = await call.site.chat.rooms.browse(query=query or "", limit=limit or PAGE, cursor=cursor)
    return ok(RoomsAnswer(rooms=rooms, next_cursor=following if following is not None else UNSET))


async def one(call: Call, room_id: str) -> Response:
    """GET /rooms/{id}"""
    return ok(RoomAnswer(room=await call.site.chat.rooms.get(room_id)))


async def rename(call: Call, body: commands.RenameRoom, room_id: str) -> Response:
    """PATCH /rooms/{id}"""
    return ok(RoomAnswer(room=await call.site.chat.rooms.rename(call.who, room_id, body.name)))


async def delete(call: Call, room_id: str) -> Response:
    """DELETE /rooms/{id}"""
    await call.site.chat.rooms.delete(call.who, room_id)
    return done()


async def join(call: Call, room_id: str) -> Response:
    """POST /rooms/{id}/join"""
    return ok(RoomAnswer(room=await call.site.chat.rooms.join(call.who, room_id)))


async def leave(call: Call, room_id: str) -> Response:
    """POST /rooms/{id}/leave"""
    await call.site.chat.rooms.leave(call.who, room_id)
    return done()


async def remove_member(call: Call, room_id: str, user_id: str) -> Response:
    """DELETE /rooms/{id}/members/{user_id}"""
    await call.site.chat.rooms.remove_member(call.who, room_id, user_id)
    return done()


async def members(call: Call, room_id: str) -> Response:
    """GET /rooms/{id}/members"""
    online_only, here = call.query_flag("online"), call.site.hub.users
    found = await call.site.chat.rooms.members(call.who, room_id, online_only=online_only, connected=here)
    return ok(MembersAnswer(members=found))


_NAMES = (Code.NAME_EMPTY, Code.NAME_TOO_LONG, Code.ROOM_NAME_TAKEN)
_ROOM = "/rooms/<room_id>"

ROUTES = (
    Route(method="GET", path="/me/rooms", does="The rooms I am in", handler=mine, answers={200: MyRoomsAnswer}),
    Route(
        method="POST",
        path="/rooms",
        does="Create a room",
        handler=create,
        takes=commands.CreateRoom,
        answers={201: RoomAnswer},
        codes=(*_NAMES, Code.TOO_MANY),
    ),
    Route(
        method="GET",
        path="/rooms",
        does="Browse rooms by key",
        handler=browse,
        query=(
            Query(name="query", schema={"type": "string"}),
            LIMIT,
            Query(name="cursor", schema={"type": "string"}),
        ),
        answers={200: RoomsAnswer},
        codes=(Code.NAME_TOO_LONG,),
    ),
    Route(
        method="GET",
        path=_ROOM,
        does="One room",
        handler=one,
        answers={200: RoomAnswer},
        codes=(Code.ROOM_NOT_FOUND,),
    ),
    Route(
        method="PATCH",
        path=_ROOM,
        does="Rename a room (its owner)",
        handler=rename,
        takes=commands.RenameRoom,
        answers={200: RoomAnswer},
        codes=(*_NAMES, Code.FORBIDDEN, Code.NOT_A_MEMBER, Code.ROOM_NOT_FOUND),
    ),
    Route(
        method="DELETE",
        path=_ROOM,
        does="Delete a room (its owner)",
        handler=delete,
        answers={204: None},
        codes=(Code.FORBIDDEN, Code.NOT_A_MEMBER, Code.ROOM_NOT_FOUND),
    ),
    Route(
        method="POST",
        path=f"{_ROOM}/join",
        does="Join a room",
        handler=join,
        answers={200: RoomAnswer},
        codes=(Code.ROOM_NOT_FOUND, Code.TOO_MANY),
    ),
    Route(
        method="POST",
        path=f"{_ROOM}/leave",
        does="Leave a room",
        handler=leave,
        answers={204: None},
        codes=(Code.ROOM_NOT_FOUND,),
    ),
    Route(
        method="DELETE",
        path=f"{_ROOM}/members/<user_id>",
        does="Remove a member (the owner)",
        handler=remove_member,
        answers={204: None},
        codes=(Code.FORBIDDEN, Code.NOT_A_MEMBER, Code.NOT_FOUND, Code.ROOM_NOT_FOUND),
    ),
    Route(
        method="GET",
        path=f"{_ROOM}/members",
        does="Members with presence",
        handler=members,
        query=(Query(name="online", schema={"type": "boolean"}),),
        answers={200: MembersAnswer},
        codes=(Code.NOT_A_MEMBER, Code.ROOM_NOT_FOUND),
    ),
)
