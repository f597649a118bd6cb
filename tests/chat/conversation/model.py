"""The reference client: what a device knows of its rooms, from nothing but frames, and every promise it may check."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]
Log = dict[int, Frame]  # a room's events by rev

DURABLE = {"message", "reaction", "member", "room"}


class Broken(AssertionError):
    """The server broke a promise of the contract."""


def require(holds: bool, promise: str, frame: object) -> None:
    """Fail with the *promise* that *frame* breaks."""
    if not holds:
        raise Broken(f"{promise}: {frame}")


@dataclass
class Place:
    """A room that the connection hears: where it is in the log, and where the user's cursor is."""

    next_rev: int
    read_seq: int = 0
    joined_rev: int = 0
    name: str | None = None  # None: joined just now, and not told yet
    heard: set[str] = field(default_factory=set)  # messages, by id


class Device:
    """One device of a user over all its connections. `hear` takes each frame in order and raises `Broken`."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.logs: dict[str, Log] = {}
        self.rooms: dict[str, Place] = {}
        self.viewing: str | None = None
        self.asked: dict[str, deque[int]] = {}  # resumes under way: the rev each asks to go on from
        self.wants: dict[str, int] = {}  # rooms to resume, from which rev; whoever sends that empties it
        self.unanswered: deque[Frame] = deque()  # commands in the order sent
        self.first_here: set[str] = set()  # client ids that only this connection used, without an answer yet

    def connected(self, hello: Frame) -> None:
        """A new connection: everything but the logs starts over."""
        require(hello["type"] == "hello", "hello is the first frame", hello)
        self.viewing, self.asked, self.unanswered, self.first_here = None, {}, deque(), set()
        self.rooms = {
            room["room_id"]: Place(room["rev"] + 1, read_seq=room["read_seq"], name=room["name"])
            for room in hello["rooms"]
        }
        for room in hello["rooms"]:
            require(room["unread"] == room["seq"] - room["read_seq"] >= 0, "unread is seq - read_seq", room)
        self.wants = {room_id: self.known(room_id) for room_id in self.rooms}

    def resuming(self) -> dict[str, int]:
        """What to send as the rooms of a `resume`."""
        wants, self.wants = self.wants, {}
        for room_id, rev in wants.items():
            self.asked.setdefault(room_id, deque()).append(rev)
        return wants

    def known(self, room_id: str) -> int:
        """The rev up to which nothing of the room's log is missing."""
        log = self.logs.get(room_id, {})
        rev = 0
        while rev + 1 in log:
            rev += 1
        return rev

    def hear(self, frame: Frame) -> None:
        """Take the next frame."""
        kind = frame["type"]
        if kind in DURABLE:
            self._event(frame)
        elif kind in {"ack", "error", "pong"}:
            self._answer(frame)
        elif kind in {"resumed", "reset"}:
            self._resumed(frame)
        elif kind == "read":
            place = self._place(frame)
            place.read_seq = max(place.read_seq, frame["read_seq"])
            require(frame["unread"] >= 0, "unread is never negative", frame)
        elif kind in {"presence", "typing"}:
            self._place(frame)
            require(frame["user"]["id"] != self.user_id, f"no {kind} of one's own", frame)
        elif kind == "notification":
            self._notified(frame)

    def _place(self, frame: Frame) -> Place:
        place = self.rooms.get(frame["room_id"])
        if place is None:
            raise Broken(f"nothing of a room that one is not in: {frame}")
        return place

    def _answer(self, frame: Frame) -> None:
        require(bool(self.unanswered), "an answer to something asked", frame)
        command = self.unanswered.popleft()
        require(frame["re"] == command["id"], f"answers come in the order asked, {command} is next", frame)
        self.first_here.discard(command.get("client_id", ""))
        if frame["type"] == "ack" and command["type"] == "view":
            self.viewing = command["room_id"]
        if frame["type"] == "ack" and command["type"] == "read" and command["room_id"] in self.rooms:
            place = self.rooms[command["room_id"]]
            place.read_seq = max(place.read_seq, frame["read_seq"])

    def _event(self, frame: Frame) -> None:
        room_id, rev, asked = frame["room_id"], frame["rev"], self.asked.get(frame["room_id"])
        joins, leaves = (self._own(frame, op) for op in ("join", "leave"))
        if joins and room_id not in self.rooms:
            self.rooms[room_id] = Place(rev, joined_rev=rev)
            self.wants[room_id] = self.known(room_id)
        place = self._place(frame)
        if rev != place.next_rev and (joins or (asked and rev == asked[0] + 1)):
            place.next_rev = rev  # a rejoin skips what was not for us; a replay starts from where it was asked to
        require(rev == place.next_rev, f"revs without a hole, {place.next_rev} is next", frame)
        place.next_rev += 1
        log = self.logs.setdefault(room_id, {})
        require(log.get(rev, frame) == frame, "an event never changes", (frame, log.get(rev)))
        log[rev] = frame
        if frame["type"] == "message":
            self._message(place, frame["message"])
        elif frame.get("op") == "rename":
            place.name = frame["name"]
        elif joins:
            place.joined_rev = rev
        elif (leaves and not asked) or frame.get("op") == "delete":
            del self.rooms[room_id]
            self.wants.pop(room_id, None)

    def _own(self, frame: Frame, op: str) -> bool:
        return (frame["type"], frame.get("op")) == ("member", op) and bool(frame["user"]["id"] == self.user_id)

    def _message(self, place: Place, message: Frame) -> None:
        place.heard.add(message["id"])
        require(message["reactions"] == {}, "in events a message is as created", message)
        require(message.get("client_id") not in self.first_here, "the ack comes before one's own copy", message)

    def _resumed(self, frame: Frame) -> None:
        room_id = frame["room_id"]
        asked = self.asked[room_id].popleft()
        if not self.asked[room_id]:
            del self.asked[room_id]
        if frame["type"] == "reset":
            require(frame["reason"] in {"not_a_member", "deleted"}, "nothing else stands in the way", frame)
            if room_id not in self.asked:
                self.rooms.pop(room_id, None)
            return
        place = self._place(frame)
        require(frame["from"] == asked, "resumed from where it was asked", frame)
        require(place.next_rev == frame["to"] + 1, f"resumed as far as it was sent, {place.next_rev} is next", frame)

    def _notified(self, frame: Frame) -> None:
        place = self._place(frame)
        require(frame["sender"]["id"] != self.user_id, "no notification of one's own message", frame)
        require(frame["room_id"] != self.viewing, "no notification of the room being viewed", frame)
        require(frame["message_id"] in place.heard, "a notification follows its message", frame)
        require(place.name in {None, frame["room_name"]}, f"the name at that moment, {place.name}", frame)
        require(frame["unread"] > 0, "a notification means something unread", frame)

    # What it adds up to.

    def picture(self, room_id: str, *, first_name: str) -> dict[str, Any]:
        """The room as this device shows it, in the form of `tests.chat.conversation.world.picture`."""
        log, place = self.logs[room_id], self.rooms[room_id]
        shown = fold([log[rev] for rev in sorted(log)], first_name=first_name, me=self.user_id)
        seqs = [message["seq"] for message in shown["messages"]]
        require(list(log) == [] or sorted(log) == list(range(1, len(log) + 1)), "revs without a hole", room_id)
        require(seqs == list(range(1, len(seqs) + 1)), "seqs without a hole", seqs)
        at_join = sum(event["type"] == "message" and rev < place.joined_rev for rev, event in log.items())
        own = [m["seq"] for m in shown["messages"] if m["sender"]["id"] == self.user_id]
        read_seq = max([place.read_seq, at_join, *own])
        return shown | {"rev": len(log), "seq": len(seqs), "read_seq": read_seq, "unread": len(seqs) - read_seq}


def fold(events: list[Frame], *, first_name: str, me: str) -> dict[str, Any]:
    """What a room's whole log adds up to, as the user *me* sees it."""
    name, owner, members = first_name, events[0]["user"]["id"] if events else None, set()
    messages: dict[str, Frame] = {}
    reactions: dict[str, dict[str, set[str]]] = {}
    for event in events:
        match event["type"], event.get("op"):
            case "message", _:
                messages[event["message"]["id"]] = event["message"]
            case "reaction", op:
                who = reactions.setdefault(event["message_id"], {}).setdefault(event["emoji"], set())
                (who.add if op == "add" else who.discard)(event["user"]["id"])
                require(len(who) == event["count"], "a reaction's count as of its rev", event)
            case "member", "join":
                members.add(event["user"]["id"])
            case "member", "leave":
                members.discard(event["user"]["id"])
            case "room", "rename":
                name = event["name"]
            case "room", "owner":
                owner = event["owner"] and event["owner"]["id"]
    for message_id, counts in reactions.items():
        shown = {emoji: {"count": len(who), "me": me in who} for emoji, who in counts.items() if who}
        messages[message_id] = messages[message_id] | {"reactions": shown}
    return {"name": name, "owner": owner, "members": members, "messages": list(messages.values())}
