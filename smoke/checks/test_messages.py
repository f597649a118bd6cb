"""Messages: delivered to everyone, acknowledged with their content, back in history, once."""

import re
import secrets
from typing import Any

import pytest

from smoke.expect import has, same, true
from smoke.visit import Person, Visit
from smoke.wire import Socket

Sockets = tuple[Socket, Socket]
RFC3339_MS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CONTENTS = (
    "hello",
    "☕ ☕️ ready? 👩‍👩‍👧‍👦",
    "שלום – مرحبا – 你好",
    "first line\n\tsecond line",
    "<b>&amp;</b> \\ \" '",
)


def test_empty_room(ada: Person, visit: Visit) -> None:
    """an empty room has an empty history"""
    room = visit.open_room(ada, visit.room_name("empty"))
    answer = ada.http.get(f"/rooms/{room['id']}/messages")
    has("history of an empty room", answer.must_be(200), messages=[], has_more=False)


def test_conversation(sockets: Sockets, ada: Person, zoe: Person, cafe: dict[str, Any]) -> None:
    """messages in `cafe-☕` are acknowledged with their content, heard by both and in history"""
    sent = []
    for place, content in enumerate(CONTENTS):
        speaker = (ada, zoe)[place % 2]
        ack = sockets[place % 2].acked("message", room_id=cafe["id"], content=content)
        has("the ack of a message", ack, status="delivered", duplicate=False)
        message = ack["message"]
        has("the message in its ack", message, content=content, room_id=cafe["id"], sender=speaker.user, reactions={})
        stamp = str(message.get("timestamp"))
        true("a timestamp in RFC 3339, UTC, with milliseconds", bool(RFC3339_MS.fullmatch(stamp)), seen=stamp)
        for socket in sockets:
            event = socket.hear("message", room_id=cafe["id"], rev=message["rev"])
            same("the message as heard by a member", event["message"], message)
        sent.append(message)
    history = zoe.http.get(f"/rooms/{cafe['id']}/messages").must_have(200, "messages")
    same("the newest messages in history", history[-len(sent) :], sent)
    numbers = [message["seq"] for message in history]
    same("numbers of the messages", numbers, list(range(1, len(history) + 1)))


def test_http_send(sockets: Sockets, ada: Person, cafe: dict[str, Any]) -> None:
    """a message sent over HTTP is heard on the WebSockets"""
    answer = ada.http.post(f"/rooms/{cafe['id']}/messages", {"content": "over HTTP ☕"})
    message = answer.must_have(201, "message")
    for socket in sockets:
        same("the message as heard", socket.hear("message", rev=message["rev"])["message"], message)


def test_repeated_send(sockets: Sockets, ada: Person, cafe: dict[str, Any]) -> None:
    """a repeated client_id gives the stored message once, another content client_id_conflict"""
    once = {"content": "only once", "client_id": secrets.token_hex(8)}
    first = sockets[0].acked("message", room_id=cafe["id"], **once)
    again = sockets[0].acked("message", room_id=cafe["id"], **once)
    has("the ack of the repeat", again, duplicate=True, message=first["message"])
    same(
        "the repeat over HTTP",
        ada.http.post(f"/rooms/{cafe['id']}/messages", once).must_have(200, "message"),
        first["message"],
    )
    other = {**once, "content": "something else"}
    sockets[0].refused("client_id_conflict", "message", room_id=cafe["id"], **other)
    ada.http.post(f"/rooms/{cafe['id']}/messages", other).must_be_problem(409, "client_id_conflict")


def test_history_pages(ada: Person, visit: Visit) -> None:
    """history is paged backwards and forwards, oldest first in a page"""
    room = visit.open_room(ada, visit.room_name("history"))
    path = f"/rooms/{room['id']}/messages"
    for number in range(1, 6):
        ada.http.post(path, {"content": f"message {number}"}).must_be(201)
    for query, numbers, more in (
        ({"limit": 2}, [4, 5], True),
        ({"limit": 2, "before": 4}, [2, 3], True),
        ({"limit": 2, "before": 2}, [1], False),
        ({"limit": 3, "after": 1}, [2, 3, 4], True),
        ({"limit": 3, "after": 3}, [4, 5], False),
    ):
        page = ada.http.get(path, **query)
        seen = [message["seq"] for message in page.must_have(200, "messages")]
        same(f"messages and has_more with {query}", (seen, page.body.get("has_more")), (numbers, more))
    for wrong in ({"limit": 0}, {"limit": 101}, {"before": 3, "after": 1}):
        same(f"code for {wrong}", ada.http.get(path, **wrong).must_have(400, "code"), "invalid_field")


def test_refused_contents(sockets: Sockets, ada: Person, cafe: dict[str, Any]) -> None:
    """content that is none is refused with its code, and the socket stays open"""
    path = f"/rooms/{cafe['id']}/messages"
    for content, code in (
        (" \u200b\n", "content_empty"),
        ("x" * 4001, "content_too_long"),
        ("a\x07b", "invalid_field"),
    ):
        ada.http.post(path, {"content": content}).must_be_problem(400, code, field="content")
        sockets[0].refused(code, "message", room_id=cafe["id"], content=content)
    sockets[0].refused("missing_field", "message", room_id=cafe["id"])
    sockets[0].refused("invalid_unicode", "message", room_id=cafe["id"], content="\ud800")
    sockets[0].acked("message", room_id=cafe["id"], content="still here")


@pytest.mark.two_accounts
def test_not_a_member(visit: Visit, ada: Person, zoe: Person) -> None:
    """a message to a room not joined is refused, and heard by nobody"""
    room = visit.open_room(ada, visit.room_name("without zoe"))
    with ada.socket() as inside, zoe.socket() as outside:
        outside.refused("not_a_member", "message", room_id=room["id"], content="let me in")
        outside.refused("room_not_found", "message", room_id="r_none", content="anyone?")
        ack = inside.acked("message", room_id=room["id"], content="between us")
        inside.hear("message", rev=ack["message"]["rev"])
        outside.hears_none("message", room_id=room["id"])


def test_garbage_frames(ada: Person) -> None:
    """frames that make no sense are answered, and the socket stays open"""
    with ada.socket() as socket:
        for raw in ("{", "[]", '{"type":"ping"}'):
            socket.send_raw(raw)
            same(f"'re' of the answer to {raw}", socket.hear("error")["re"], None)
        socket.refused("unknown_type", "dance")
        same("answer to ping", socket.ask("ping").get("type"), "pong")
