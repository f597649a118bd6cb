"""Probes of rooms: what is to be heard and read by who has left, or was never in."""

import json
from contextlib import closing, suppress
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from opskit.security_review.case import Case
from opskit.security_review.service import NoAnswer, Person, asked, frames

EVENTS = ("message", "reaction", "member", "resumed")


def after_leaving(case: Case) -> None:
    """Someone leaves a room: the open socket, HTTP, and a reconnect with resume."""
    owner = case.user
    leaver = case.guest or owner
    room = case.room(owner)
    path = f"/rooms/{room}"
    if leaver is not owner:
        _must(case, "POST", f"{path}/join", leaver)
    _say(case, owner, path)
    with closing(_open(case, leaver)) as open_socket:
        hello = _hello(open_socket)
        _must(case, "POST", f"{path}/leave", leaver)
        frames(open_socket, within_s=0.3)  # what was under way, the own leave among it
        if leaver is not owner:
            _say(case, owner, path)
            heard = frames(open_socket, within_s=min(1.0, case.service.settle_s))
            if any(_about(frame, room) for frame in heard):
                case.find("ws-membership-live", "a message reached the socket of a user who had left the room")
    for what in ("messages", "members"):
        if case.service.call("GET", f"{path}/{what}", token=leaver.access_token).status == 200:
            case.find("http-membership", f"GET /rooms/{{id}}/{what} answered 200 to a user who had left the room")
    with closing(_open(case, leaver)) as again:
        epoch = _hello(again).get("epoch", hello.get("epoch"))
        wanted = {"type": "resume", "epoch": epoch, "rooms": {room: 0}}
        said = asked(again, wanted, within_s=case.service.settle_s)
        if leaver is not owner:
            _say(case, owner, path)
            said += frames(again, within_s=min(1.0, case.service.settle_s))
    if told := [frame for frame in said if _about(frame, room)]:
        kinds = ", ".join(sorted({str(frame["type"]) for frame in told}))
        case.find("ws-membership-resume", f"a reconnect after leaving was sent {kinds} of the room")


def outsiders(case: Case) -> None:
    """Someone who was never in a room reads it and writes to it."""
    other = case.guest
    if other is None:
        raise NoAnswer("there is one account only")
    room = case.room(case.user)
    path = f"/rooms/{room}/messages"
    if case.service.call("GET", path, token=other.access_token).status == 200:
        case.find("http-membership", "GET /rooms/{id}/messages answered 200 to a user who never joined")
    if case.service.call("POST", path, {"content": "review"}, token=other.access_token).status in (200, 201):
        case.find("http-membership", "POST /rooms/{id}/messages was taken from a user who never joined")
    with closing(_open(case, other)) as socket:
        _hello(socket)
        said = asked(socket, {"type": "message", "room_id": room, "content": "review"}, within_s=case.service.settle_s)
        if any(frame.get("type") == "ack" for frame in said):
            case.find("http-membership", "a message on the socket was taken from a user who never joined")


def _about(frame: dict[str, Any], room: str) -> bool:
    return frame.get("room_id") == room and frame.get("type") in EVENTS


def _must(case: Case, method: str, path: str, who: Person) -> None:
    answer = case.service.call(method, path, token=who.access_token)
    if answer.status not in (200, 201, 204):
        raise NoAnswer(f"{method} {path.rpartition('/')[2]} answered {answer.status}")


def _say(case: Case, who: Person, path: str) -> None:
    case.service.call("POST", f"{path}/messages", {"content": "security review"}, token=who.access_token)


def _open(case: Case, who: Person) -> ClientConnection:
    try:
        return case.service.dial(token=who.access_token)
    except InvalidStatus as refusal:
        raise NoAnswer(f"GET /chat with a valid token answered {refusal.response.status_code}") from None


def _hello(socket: ClientConnection) -> dict[str, Any]:
    with suppress(TimeoutError, ConnectionClosed, ValueError):
        first = json.loads(socket.recv(timeout=2))
        return first if isinstance(first, dict) else {}
    return {}
