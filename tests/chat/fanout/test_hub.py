"""The hub alone: no sockets, no loop; the clock and the tick are moved by hand."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from chat.fanout.frames import payload_of, text_frame
from chat.fanout.hub import Hub
from chat.fanout.outbox import HARD_BYTES, SOFT_BYTES, Outbox, Tick
from chat.fanout.subscriber import Subscriber
from chat.protocol.events import MemberChanged, MessageSent, RoomChanged, Typing
from chat.protocol.log import Committed, UserEvent, UserOp
from chat.protocol.models import Message, RoomState, User

ROOM = "r_1"


class Wire:
    """A sink that keeps what it gets; `stuck_bytes` pretends that the peer does not read."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.writes = 0
        self.stuck_bytes = 0

    def write(self, frames: list[bytes]) -> None:
        self.frames += frames
        self.writes += 1

    def backlog_bytes(self) -> int:
        return self.stuck_bytes


class Node:
    """A hub with a clock and a tick under the test's control."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.gaps = 0
        self.tick = Tick(self.soon.append)
        self.hub = Hub(
            self.tick,
            call_later=lambda delay_s, call: self.timers.append((delay_s, call)),
            on_gap=self._gap,
            on_sent=lambda _event, _listeners: None,
        )
        self.wires: dict[Subscriber, Wire] = {}
        self.closed: list[tuple[str, int]] = []
        self.replays: list[tuple[str, int]] = []

    def _gap(self) -> None:
        self.gaps += 1

    def flush(self) -> None:
        while self.soon:
            self.soon.pop(0)()

    def second_passes(self) -> None:
        due, self.timers = self.timers, []
        for _, call in due:
            call()

    def enter(self, user_id: str, name: str = "") -> Subscriber:
        wire = Wire()
        connection_id = name or f"c_{len(self.wires)}"
        subscriber = Subscriber(
            connection_id=connection_id,
            user_id=user_id,
            username=user_id,
            session_id=f"s_{user_id}",
            outbox=Outbox(wire, self.tick, on_overflow=lambda: self.closed.append((connection_id, 4208))),
            close=lambda code, _reason: self.closed.append((connection_id, code)),
            replay=lambda _room_id, after: self.replays.append((connection_id, after)),
        )
        self.wires[subscriber] = wire
        self.hub.enter(subscriber)
        return subscriber

    def connect(self, user_id: str, *, rev: int = 2, seq: int = 0, n: int = 1) -> Subscriber:
        subscriber = self.enter(user_id)
        assert self.hub.welcome(subscriber, n=n, rooms=[state(rev, seq)]) == []
        return subscriber

    def heard(self, subscriber: Subscriber) -> list[Any]:
        """Types (or revs, for durable events) that reached the connection, then forgotten."""
        self.flush()
        wire = self.wires[subscriber]
        events = [json.loads(payload_of(frame)) for frame in wire.frames]
        wire.frames.clear()
        return [event.get("rev") or event["type"] for event in events]


def state(rev: int, seq: int, *, read_seq: int | None = None) -> RoomState:
    read = seq if read_seq is None else read_seq
    return RoomState(room_id=ROOM, name="room", rev=rev, seq=seq, read_seq=read, unread=seq - read)


def message(rev: int, *, by: str = "u_ann", seq: int | None = None) -> MessageSent:
    found = Message(
        id=f"m_{rev}",
        room_id=ROOM,
        seq=seq if seq is not None else rev - 2,
        rev=rev,
        sender=User(id=by, username=by),
        timestamp="2026-11-22T23:12:00.123Z",
        content=f"text {rev}",
    )
    return MessageSent(room_id=ROOM, rev=rev, message=found)


def member(rev: int, user_id: str, op: Any) -> MemberChanged:
    return MemberChanged(room_id=ROOM, rev=rev, user=User(id=user_id, username=user_id), op=op)


def committed(*events: Any, users: tuple[UserEvent, ...] = (), origin: str | None = None) -> Committed:
    ids = tuple((e.message.id, origin) for e in events if isinstance(e, MessageSent) and origin is not None)
    return Committed(rooms=tuple(events), users=users, origins=ids)


@pytest.fixture
def node() -> Node:
    return Node()


def test_a_batch_leaves_in_one_write_per_connection(node: Node) -> None:
    ann, bob = node.connect("u_ann"), node.connect("u_bob")
    node.hub.commit(committed(message(3), message(4), message(5)))
    node.flush()
    assert node.wires[ann].writes == node.wires[bob].writes == 1


def test_live_events_start_after_the_snapshot_without_a_hole(node: Node) -> None:
    node.connect("u_ann")
    node.hub.commit(committed(message(3), message(4)))
    behind = node.connect("u_bob", rev=3, seq=1)  # its snapshot was read before rev 4 was delivered
    assert node.heard(behind) == [4]
    ahead = node.connect("u_cat", rev=6, seq=4)  # its snapshot saw commits that this node has not delivered
    node.hub.commit(committed(message(5), message(6), message(7)))
    assert [x for x in node.heard(ahead) if x != "notification"] == [7]
    assert [x for x in node.heard(behind) if x != "notification"] == [5, 6, 7]


def test_a_gap_is_left_to_the_log_and_closed_by_it(node: Node) -> None:
    bob = node.connect("u_bob")
    node.hub.commit(committed(message(4)))
    assert (node.heard(bob), node.gaps, node.hub.stale_rooms) == ([], 1, {ROOM})
    for event in (message(3), message(4), message(4)):
        node.hub.deliver(event)
    assert [x for x in node.heard(bob) if x != "notification"] == [3, 4]


def test_what_was_committed_before_anyone_followed_makes_the_new_feed_stale(node: Node) -> None:
    bob = node.enter("u_bob")
    node.hub.commit(committed(message(3)))  # nobody follows the room yet, and the snapshot below is older
    node.hub.welcome(bob, n=1, rooms=[state(2, 0)])
    assert node.hub.stale_rooms == {ROOM}


def test_a_feed_dropped_during_the_snapshot_leaves_no_hole(node: Node) -> None:
    ann = node.connect("u_ann")
    bob = node.enter("u_bob")
    node.hub.commit(committed(message(3)))
    node.hub.leave(ann)
    node.hub.welcome(bob, n=1, rooms=[state(2, 0)])
    assert node.hub.stale_rooms == {ROOM}
    node.hub.deliver(message(3))
    assert [x for x in node.heard(bob) if x != "notification"] == [3]


def test_who_leaves_hears_the_own_leave_last_and_who_rejoins_the_own_join_first(node: Node) -> None:
    node.connect("u_ann")
    bob = node.connect("u_bob")
    node.hub.commit(committed(member(3, "u_bob", "leave"), message(4), member(5, "u_bob", "join"), message(6)))
    assert [x for x in node.heard(bob) if x != "notification"] == [3, 5, 6]


def test_a_join_during_the_snapshot_is_not_missed(node: Node) -> None:
    node.connect("u_ann")
    bob = node.enter("u_bob")
    node.hub.commit(committed(member(3, "u_bob", "join"), message(4)))
    node.hub.welcome(bob, n=1, rooms=[])  # the snapshot was read before the join
    assert node.heard(bob) == [3, 4]


def test_a_held_connection_hears_nothing_until_released_where_it_stands(node: Node) -> None:
    ann, bob = node.connect("u_ann"), node.connect("u_bob")
    assert node.hub.hold(bob, ROOM)
    node.hub.commit(committed(message(3), message(4)))
    assert node.heard(bob) == []
    assert not node.hub.release(bob, ROOM, after=3)
    assert node.hub.release(bob, ROOM, after=4)
    node.hub.commit(committed(message(5, by="u_bob")))
    assert node.heard(bob)[0] == 5
    assert 5 in node.heard(ann)


def test_who_is_being_caught_up_hears_who_types_and_who_is_there(node: Node) -> None:
    ann, bob = node.connect("u_ann"), node.connect("u_bob")
    node.hub.hold(bob, ROOM)
    typing = Typing(room_id=ROOM, user=User(id="u_ann", username="ann"))
    node.hub.tell_room(ROOM, typing, but_user="u_ann")
    assert (node.heard(ann), node.heard(bob)) == ([], ["typing"])
    node.hub.deliver(member(3, "u_bob", "leave"))
    node.hub.tell_room(ROOM, typing, but_user="u_ann")
    assert node.heard(bob) == []


def test_a_deleted_room_is_forgotten(node: Node) -> None:
    bob = node.connect("u_bob")
    node.hub.commit(committed(RoomChanged(room_id=ROOM, rev=3, op="delete")))
    assert node.heard(bob) == [3]
    assert node.hub.feeds == {}


def test_notifications_first_at_once_then_merged_never_to_the_author_or_the_viewer(node: Node) -> None:
    ann, bob, cat = (node.connect(user) for user in ("u_ann", "u_bob", "u_cat"))
    node.hub.view(cat, ROOM)
    node.hub.commit(committed(message(3), message(4), message(5), origin=ann.connection_id))
    assert node.heard(bob) == [3, "notification", 4, 5]
    assert node.heard(ann) == [3, 4, 5]
    assert node.heard(cat) == [3, 4, 5]
    node.second_passes()
    assert node.heard(bob) == ["notification"]
    node.second_passes()
    assert node.heard(bob) == []
    node.hub.commit(committed(message(6, by="u_bob"), origin=bob.connection_id))
    assert node.heard(ann) == [6, "notification"]


def test_a_merged_notification_is_dropped_when_everything_was_read_meanwhile(node: Node) -> None:
    bob = node.connect("u_bob")
    node.hub.commit(committed(message(3), message(4)))
    read = UserEvent(user_id="u_bob", n=2, op=UserOp.READ, room_id=ROOM, read_seq=2, unread=0, connection_id="c_x")
    node.hub.commit(committed(users=(read,)))
    node.heard(bob)
    node.second_passes()
    assert node.heard(bob) == []


def test_the_own_send_moves_the_cursor_on_the_other_devices_only(node: Node) -> None:
    phone, laptop = node.connect("u_ann"), node.connect("u_ann")
    node.hub.commit(committed(message(3), origin=phone.connection_id))
    assert node.heard(phone) == [3]
    assert node.heard(laptop) == [3, "read"]


def test_an_ended_session_closes_its_connections_4011_and_a_gone_account_all_4012(node: Node) -> None:
    ann = node.connect("u_ann")
    ended = UserEvent(user_id="u_ann", n=2, op=UserOp.SESSION_ENDED, session_id="s_u_ann")
    gone = UserEvent(user_id="u_ann", n=3, op=UserOp.ACCOUNT_GONE)
    node.hub.commit(committed(users=(ended, gone)))
    assert node.closed == [(ann.connection_id, 4011), (ann.connection_id, 4012)]


def test_ephemeral_frames_are_dropped_before_a_slow_peer_is_given_up(node: Node) -> None:
    bob = node.connect("u_bob")
    wire = node.wires[bob]
    wire.stuck_bytes = SOFT_BYTES + 1
    node.hub.tell_room(ROOM, Typing(room_id=ROOM, user=User(id="u_ann", username="ann")), but_user="u_ann")
    node.hub.commit(committed(message(3)))
    assert (node.heard(bob), node.closed) == ([3], [])
    wire.stuck_bytes = HARD_BYTES + 1
    node.hub.commit(committed(message(4)))
    node.flush()
    assert node.closed == [(bob.connection_id, 4208)]


def test_the_last_connection_takes_the_feeds_with_it(node: Node) -> None:
    ann, bob = node.connect("u_ann"), node.connect("u_bob")
    assert node.hub.leave(bob)
    assert not node.hub.leave(bob)
    assert ROOM in node.hub.feeds
    assert node.hub.leave(ann)
    assert (node.hub.feeds, node.hub.users) == ({}, {})


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_frame_gives_back_its_payload(size: int) -> None:
    assert payload_of(text_frame(b"x" * size)) == b"x" * size


def test_a_join_that_the_room_was_followed_from_past_is_replayed_to_who_did_not_hear_it(node: Node) -> None:
    ann = node.enter("u_ann", "ann")
    node.hub.welcome(ann, n=1, rooms=[])
    node.connect("u_bob", rev=7, seq=2)  # in whose snapshot ann's join at 5, made by another process, is past
    joined = UserEvent(user_id="u_ann", n=2, op=UserOp.JOINED, room_id=ROOM, rev=5)
    node.hub.deliver_to_user(joined)
    assert node.replays == [("ann", 4)]
    node.hub.deliver(message(8, by="u_bob"))
    assert node.heard(ann) == []  # held
    assert not node.hub.release(ann, ROOM, after=7)
    assert node.hub.release(ann, ROOM, after=8)
    node.hub.deliver(message(9, by="u_bob"))
    assert node.heard(ann) == [9, "notification"]


def test_what_came_after_a_join_that_the_own_log_told_of_late_is_unread(node: Node) -> None:
    ann = node.enter("u_ann", "ann")
    node.hub.welcome(ann, n=1, rooms=[])
    node.connect("u_bob", rev=7, seq=2)
    node.hub.deliver_to_user(UserEvent(user_id="u_ann", n=2, op=UserOp.JOINED, room_id=ROOM, rev=5, read_seq=0))
    node.hub.release(ann, ROOM, after=7)
    node.hub.deliver(message(8, by="u_bob", seq=3))
    node.flush()
    assert json.loads(payload_of(node.wires[ann].frames[-1]))["unread"] == 3


def test_a_join_that_was_heard_is_not_replayed_when_the_own_log_tells_of_it_later(node: Node) -> None:
    ann, bob = node.connect("u_ann"), node.connect("u_bob")
    node.hub.deliver(member(3, "u_ann", "leave"))
    node.hub.deliver(member(4, "u_ann", "join"))
    node.hub.deliver(member(5, "u_ann", "leave"))
    node.hub.deliver_to_user(UserEvent(user_id="u_ann", n=2, op=UserOp.JOINED, room_id=ROOM, rev=4))
    assert node.heard(ann) == node.heard(bob) == [3, 4, 5]
    assert node.replays == []


def test_a_cursor_moved_right_after_a_join_counts_from_that_join(node: Node) -> None:
    ann = node.connect("u_ann")
    node.connect("u_bob")
    moved = UserEvent(user_id="u_ann", n=3, op=UserOp.READ, room_id=ROOM, read_seq=1, unread=0)
    for event in (UserEvent(user_id="u_ann", n=2, op=UserOp.JOINED, room_id=ROOM, rev=5), moved):
        node.hub.deliver_to_user(event)  # another process made them, and the room's own log is read after these
    node.hub.deliver(message(3, by="u_bob", seq=1))
    node.hub.deliver(member(4, "u_ann", "leave"))
    node.hub.deliver(member(5, "u_ann", "join"))
    assert node.heard(ann) == [3, "notification", 4, 5, "read"]


def test_who_is_out_hears_nothing_of_a_cursor(node: Node) -> None:
    ann, other = node.connect("u_ann"), node.connect("u_ann")
    node.hub.drop(ann, ROOM)  # told of the end already, from the log
    node.hub.deliver(message(3, by="u_ann"))
    assert (node.heard(ann), node.heard(other)) == ([], [3, "read"])
