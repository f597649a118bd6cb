"""What makes it a conversation: reactions, read cursors, presence, typing, notifications, catching up."""

from typing import Any
from urllib.parse import quote

import pytest

from smoke.expect import has, same, true
from smoke.visit import Person, Visit
from smoke.wire import Socket

Sockets = tuple[Socket, Socket]


def _say(socket: Socket, room: dict[str, Any], content: str) -> dict[str, Any]:
    message: dict[str, Any] = socket.acked("message", room_id=room["id"], content=content)["message"]
    return message


def test_reactions(sockets: Sockets, ada: Person, zoe: Person, cafe: dict[str, Any]) -> None:
    """a reaction is broadcast, counted in history and taken back"""
    message = _say(sockets[0], cafe, "coffee?")
    ack = sockets[1].acked("react", message_id=message["id"], emoji="☕")
    same("reactions in the ack", ack["reactions"], {"☕": {"count": 1, "me": True}})
    event = sockets[0].hear("reaction", message_id=message["id"])
    has("the reaction as heard", event, emoji="☕", op="add", count=1, user=zoe.user, room_id=cafe["id"])
    selected = quote("☕\ufe0f")
    path = f"/messages/{message['id']}/reactions/{selected}"
    answer = zoe.http.put(path)
    has("the same reaction with the emoji selector", answer.must_be(200), reactions=ack["reactions"])
    zoe.http.delete(path).must_be(200)
    has("the reaction taken back", sockets[0].hear("reaction", op="remove"), emoji="☕", count=0)
    newest = ada.http.get(f"/rooms/{cafe['id']}/messages", limit=1).must_have(200, "messages")[-1]
    same("reactions in history", newest["reactions"], {})


def test_refused_reactions(sockets: Sockets, ada: Person, cafe: dict[str, Any]) -> None:
    """what is not exactly one emoji is no reaction"""
    message = _say(sockets[0], cafe, "react to me")
    for emoji in ("x", "☕☕", "\U0001f3fd", "\U0001f1e9"):
        sockets[0].refused("invalid_emoji", "react", message_id=message["id"], emoji=emoji)
    ada.http.put(f"/messages/{message['id']}/reactions/x").must_be_problem(400, "invalid_emoji")
    sockets[0].refused("message_not_found", "react", message_id="m_none", emoji="☕")


@pytest.mark.two_accounts
def test_read_cursor(sockets: Sockets, zoe: Person, cafe: dict[str, Any]) -> None:
    """unread counts up with others' messages and down as they are read"""
    seq = _say(sockets[0], cafe, "one")["seq"]
    sockets[1].acked("read", room_id=cafe["id"], seq=seq)
    seq = _say(sockets[0], cafe, "two")["seq"]
    entries = zoe.http.get("/me/rooms").must_have(200, "rooms")
    mine = next(entry for entry in entries if entry["room"]["id"] == cafe["id"])
    has("my entry of the room", mine, unread=1, read_seq=seq - 1)
    answer = zoe.http.post(f"/rooms/{cafe['id']}/read", {"seq": seq})
    has("after reading", answer.must_be(200), unread=0, read_seq=seq)
    has("the cursor as my other connections hear it", sockets[1].hear("read", read_seq=seq), unread=0)


@pytest.mark.two_accounts
def test_typing(sockets: Sockets, ada: Person, cafe: dict[str, Any]) -> None:
    """who types is seen by the others"""
    sockets[0].acked("typing", room_id=cafe["id"])
    sockets[1].hear("typing", room_id=cafe["id"], user=ada.user)
    sockets[0].hears_none("typing")


@pytest.mark.two_accounts
def test_notifications(sockets: Sockets, ada: Person, cafe: dict[str, Any]) -> None:
    """a message is notified where its room is not being viewed, with name, sender and preview"""
    message = _say(sockets[0], cafe, "is anyone there? ☕")
    seen = sockets[1].hear("notification", message_id=message["id"])
    has(
        "the notification",
        seen,
        room_id=cafe["id"],
        room_name=cafe["name"],
        sender=ada.user,
        preview=message["content"],
    )
    sockets[1].acked("view", room_id=cafe["id"])
    message = _say(sockets[0], cafe, "now you look")
    sockets[1].hear("message", rev=message["rev"])
    sockets[1].hears_none("notification", message_id=message["id"])


@pytest.mark.two_accounts
def test_coming_and_going(visit: Visit, ada: Person, zoe: Person) -> None:
    """joining and leaving are broadcast and act on live sockets at once"""
    room = visit.open_room(ada, visit.room_name("revolving door"))
    with ada.socket() as inside, zoe.socket() as visitor:
        zoe.http.post(f"/rooms/{room['id']}/join").must_be(200)
        for socket in (inside, visitor):
            socket.hear("member", room_id=room["id"], op="join", user=zoe.user, rev=2)
        first = _say(inside, room, "welcome")
        same("the message as heard", visitor.hear("message", rev=first["rev"])["message"], first)
        zoe.http.post(f"/rooms/{room['id']}/leave").must_be(204)
        for socket in (inside, visitor):
            socket.hear("member", room_id=room["id"], op="leave", user=zoe.user)
        second = _say(inside, room, "gone")
        inside.hear("message", rev=second["rev"])
        visitor.hears_none("message", rev=second["rev"])


def test_resume(ada: Person, visit: Visit) -> None:
    """what was missed while away is caught up in order, over HTTP and on the socket"""
    room = visit.open_room(ada, visit.room_name("resume"))
    path = f"/rooms/{room['id']}"
    for number in (1, 2, 3):
        ada.http.post(f"{path}/messages", {"content": f"missed {number}"}).must_be(201)
    events = ada.http.get(f"{path}/events", after=1).must_be(200)
    has("events after the first", events, head_rev=4, complete=True)
    same("their numbers", [event["rev"] for event in events["events"]], [2, 3, 4])
    with ada.socket() as socket:
        frame_id = socket.send("resume", epoch=socket.hello["epoch"], rooms={room["id"]: 1, "r_none": 1})
        for event in events["events"]:
            same("the event on the socket", socket.hear("message", rev=event["rev"]), event)
        has("the end of the room's events", socket.hear("resumed", room_id=room["id"]), to=4, complete=True)
        has(
            "the answer for an unknown room",
            socket.hear("reset", room_id="r_none"),
            reason="not_a_member",
            head_rev=None,
        )
        socket.hear("ack", re=frame_id)


def test_fresh_token(ada: Person) -> None:
    """a socket takes a fresh token without reconnecting, and refuses a wrong one"""
    with ada.socket() as socket:
        ack = socket.acked("auth", access_token=ada.http.token)
        true("token_expires_at in the ack", bool(ack.get("token_expires_at")), seen=sorted(ack))
        same("type of the answer to a wrong token", socket.ask("auth", access_token="nonsense").get("type"), "error")  # noqa: S106  # wrong on purpose
