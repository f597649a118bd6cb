"""One followed room on this node: how far it is delivered, who listens, and the newest events kept encoded."""

from collections import deque

import msgspec

from chat.fanout.subscriber import Subscriber
from chat.protocol.events import MemberChanged, MessageSent, RoomEvent

TAIL_BYTES = 32 * 1024 * 1024  # encoded events kept over all rooms of this process
UNKNOWN_SEQ = -1  # of a room joined through a release that did not note the place in the user's own log
TAIL_EVENTS = 1_000  # and per room: as far as a resume reaches


class Entry(msgspec.Struct, frozen=True):
    """A delivered event: its frame, and the event for what membership changes in it mean."""

    rev: int
    frame: bytes
    member: MemberChanged | None


class Feed:
    """A room that someone on this node listens to. `delivered` is the rev up to which its listeners have heard."""

    __slots__ = (
        "cursors", "delivered", "describe", "eager", "held", "joining", "last_foreign", "last_message", "late",
        "listeners", "name", "quiet", "room_id", "seen", "seq", "tail",
    )  # fmt: skip

    def __init__(self, room_id: str, *, name: str, delivered: int, seq: int) -> None:
        self.room_id, self.name, self.delivered, self.seq = room_id, name, delivered, seq
        self.seen = delivered  # the highest rev known to exist; above `delivered`: the log must be read
        self.joining = 0  # the rev at which someone here joins (again); up to there the room is followed in any case
        self.describe = False  # the name is not known yet; the follower fetches it before delivering
        self.listeners: dict[Subscriber, None] = {}
        self.late: dict[Subscriber, int] = {}  # listeners whose snapshot is ahead of `delivered`: skip up to that rev
        self.held: dict[Subscriber, int | None] = {}  # being caught up from the log; the rev of the own leave, if any
        self.cursors: dict[str, int] = {}  # read cursors of this node's users
        self.tail: deque[Entry] = deque()
        # Notifications (chat.fanout.notices): who is told at once, who was told less than a second ago.
        self.eager: dict[Subscriber, None] = {}
        self.quiet: dict[Subscriber, object] = {}
        self.last_message: MessageSent | None = None
        self.last_foreign: MessageSent | None = None  # the newest by anyone but the sender of `last_message`

    @property
    def idle(self) -> bool:
        """Nobody on this node follows the room, or is about to."""
        return not self.listeners and not self.held and self.delivered >= self.joining

    def since(self, rev: int) -> list[Entry] | None:
        """The delivered events after *rev*, or None when the tail does not reach back that far."""
        missing = self.delivered - rev
        if missing <= 0:
            return []
        if missing > len(self.tail):
            return None
        return [self.tail[i] for i in range(len(self.tail) - missing, len(self.tail))]

    def note_message(self, event: MessageSent) -> None:
        """Remember *event* as the newest message."""
        last = self.last_message
        if last is not None and last.message.sender.id != event.message.sender.id:
            self.last_foreign = last
        self.last_message, self.seq = event, event.message.seq

    def newest_for(self, user_id: str) -> MessageSent | None:
        """The newest message that *user_id* did not write."""
        last = self.last_message
        return last if last is None or last.message.sender.id != user_id else self.last_foreign


class Tails:
    """Bounds the bytes that all feeds keep in their tails: the oldest go first."""

    def __init__(self, limit_bytes: int = TAIL_BYTES) -> None:
        self._limit_bytes, self._bytes = limit_bytes, 0
        self._order: deque[tuple[Feed, int]] = deque()

    def keep(self, feed: Feed, event: RoomEvent, frame: bytes) -> None:
        """Append the delivered *event* to the feed's tail."""
        feed.tail.append(Entry(event.rev, frame, event if isinstance(event, MemberChanged) else None))
        self._order.append((feed, event.rev))
        self._bytes += len(frame)
        if len(feed.tail) > TAIL_EVENTS:
            self._bytes -= len(feed.tail.popleft().frame)
        while self._bytes > self._limit_bytes or len(self._order) > self._limit_bytes // 512:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest, rev = self._order.popleft()
        if oldest.tail and oldest.tail[0].rev <= rev:
            self._bytes -= len(oldest.tail.popleft().frame)

    def forget(self, feed: Feed) -> None:
        """The feed is no longer followed."""
        self._bytes -= sum(len(entry.frame) for entry in feed.tail)
        feed.tail.clear()
