"""Messages, read cursors, events and reactions over HTTP."""

from quart import Response

from chat.protocol import commands
from chat.protocol.answers import EventsAnswer, HistoryAnswer, MessageAnswer, ReactionsAnswer, ReadAnswer
from chat.protocol.errors import Code, InvalidField
from chat.protocol.openapi import Query
from chat.web.call import LIMIT, MAX_NUMBER, Call, ok
from chat.web.routing import RateOf, Route

HISTORY_PAGE, EVENTS_PAGE = 50, 100


async def history(call: Call, room_id: str) -> Response:
    """GET /rooms/{id}/messages"""
    limit = call.limit or HISTORY_PAGE
    before, after = call.query_number("before", least=0), call.query_number("after", least=0)
    if before is not None and after is not None:
        raise InvalidField("before", "give before or after, not both")
    messages, has_more, rev = await call.site.chat.messages.history(
        call.who, room_id, limit=limit, before=before, after=after
    )
    return ok(HistoryAnswer(messages=messages, has_more=has_more, rev=rev))


async def send(call: Call, body: commands.PostMessage, room_id: str) -> Response:
    """POST /rooms/{id}/messages"""
    client_id = body.client_id if isinstance(body.client_id, str) else None
    sent = await call.site.chat.messages.send(call.who, room_id, body.content, client_id)
    return ok(MessageAnswer(message=sent.message), 200 if sent.duplicate else 201)


async def read(call: Call, body: commands.MoveRead, room_id: str) -> Response:
    """POST /rooms/{id}/read"""
    read_seq, unread = await call.site.chat.reading.move(call.who, room_id, seq_within_reason(body.seq))
    return ok(ReadAnswer(read_seq=read_seq, unread=unread))


def seq_within_reason(seq: int) -> int:
    """A cursor someone asks for; any number past the head means the head."""
    if seq < 0:
        raise InvalidField("seq", "seq is 0 or more")
    return min(seq, MAX_NUMBER)


async def events(call: Call, room_id: str) -> Response:
    """GET /rooms/{id}/events"""
    limit, after = call.limit or EVENTS_PAGE, call.query_number("after", least=0) or 0
    found, head_rev = await call.site.chat.log.catch_up(call.who, room_id, after_rev=after, limit=limit)
    complete = (found[-1].rev if found else after) >= head_rev
    return ok(EventsAnswer(events=found, head_rev=head_rev, complete=complete))


async def react(call: Call, message_id: str, emoji: str) -> Response:
    """PUT /messages/{id}/reactions/{emoji}"""
    found, reactions = await call.site.chat.reactions.add(call.who, message_id, emoji)
    return ok(ReactionsAnswer(message_id=found, reactions=reactions))


async def unreact(call: Call, message_id: str, emoji: str) -> Response:
    """DELETE /messages/{id}/reactions/{emoji}"""
    found, reactions = await call.site.chat.reactions.remove(call.who, message_id, emoji)
    return ok(ReactionsAnswer(message_id=found, reactions=reactions))


_IN_ROOM = (Code.NOT_A_MEMBER, Code.ROOM_NOT_FOUND)
_ON_MESSAGE = (Code.INVALID_EMOJI, Code.NOT_A_MEMBER, Code.MESSAGE_NOT_FOUND)
_ROOM, _REACTION = "/rooms/<room_id>", "/messages/<message_id>/reactions/<emoji>"
_NUMBER = {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}
_BEFORE, _AFTER = Query(name="before", schema=_NUMBER), Query(name="after", schema=_NUMBER)

ROUTES = (
    Route(
        method="GET",
        path=f"{_ROOM}/messages",
        does="History, oldest first in a page",
        handler=history,
        query=(LIMIT, _BEFORE, _AFTER),
        answers={200: HistoryAnswer},
        codes=_IN_ROOM,
    ),
    Route(
        method="POST",
        path=f"{_ROOM}/messages",
        does="Send a message",
        handler=send,
        takes=commands.PostMessage,
        answers={201: MessageAnswer, 200: MessageAnswer},
        codes=(*_IN_ROOM, Code.CONTENT_EMPTY, Code.CONTENT_TOO_LONG, Code.CLIENT_ID_CONFLICT),
        rate=RateOf.MESSAGES,
    ),
    Route(
        method="POST",
        path=f"{_ROOM}/read",
        does="Move my read cursor",
        handler=read,
        takes=commands.MoveRead,
        answers={200: ReadAnswer},
        codes=_IN_ROOM,
    ),
    Route(
        method="GET",
        path=f"{_ROOM}/events",
        does="Durable events after a revision",
        handler=events,
        query=(_AFTER, LIMIT),
        answers={200: EventsAnswer},
        codes=_IN_ROOM,
    ),
    Route(
        method="PUT",
        path=_REACTION,
        does="Add my reaction",
        handler=react,
        answers={200: ReactionsAnswer},
        codes=(*_ON_MESSAGE, Code.TOO_MANY),
    ),
    Route(
        method="DELETE",
        path=_REACTION,
        does="Remove my reaction",
        handler=unreact,
        answers={200: ReactionsAnswer},
        codes=_ON_MESSAGE,
    ),
)
