"""Who listens to what on this node: attaching, detaching and catching up. Nothing here awaits, so nothing locks."""

from collections.abc import Callable, Iterable

from chat.fanout.feed import Entry, Feed, Tails
from chat.fanout.local import Local, Pending
from chat.fanout.notices import CallLater, Notices
from chat.fanout.outbox import Tick
from chat.fanout.subscriber import Subscriber
from chat.protocol.events import MessageSent
from chat.protocol.models import RoomState


class Subscriptions:
    """The connections of one process and the rooms they follow. What they hear is the hub's affair."""

    def __init__(
        self,
        tick: Tick,
        *,
        call_later: CallLater,
        on_gap: Callable[[], None],
        on_sent: Callable[[MessageSent, int], None],
    ) -> None:
        self._tick, self._on_gap, self._on_sent = tick, on_gap, on_sent
        self._notices, self._tails = Notices(call_later), Tails()
        self.feeds: dict[str, Feed] = {}
        self.users: dict[str, Local] = {}
        self.stale_rooms: set[str] = set()
        self.stale_users: set[str] = set()
        self._pending: dict[Subscriber, Pending] = {}

    # Connections.

    def enter(self, subscriber: Subscriber) -> bool:
        """Register *subscriber* before its snapshot is read; tells whether it is the user's first here."""
        local = self.users.setdefault(subscriber.user_id, Local())
        first = not local.live and not local.pending
        local.pending[subscriber] = self._pending[subscriber] = Pending()
        return first

    def welcome(self, subscriber: Subscriber, *, n: int, rooms: Iterable[RoomState]) -> list[tuple[str, int]]:
        """Attach *subscriber* to its rooms as of the snapshot, just after its hello was queued.

        Returns (room, rev) for those whose events after rev must come from the log (see `hold`, `release`).
        """
        local = self.users.get(subscriber.user_id)
        pending = self._pending.pop(subscriber, None)
        if local is None or pending is None:
            return []
        local.pending.pop(subscriber, None)
        local.live[subscriber] = None
        local.n = n if local.n is None else local.n
        self._note_user(subscriber.user_id, local, n + 1 if pending.rung else n)
        torn = []
        starts = {}
        for room in rooms:
            self._follow(room, subscriber.user_id, pending)
            starts[room.room_id] = room.rev
        for room_id, joined in pending.joined.items():
            starts.setdefault(room_id, joined - 1)
        for room_id, rev in starts.items():
            feed = self.feeds.get(room_id)
            if feed is not None and not self._attach(feed, subscriber, after=rev):
                torn.append((room_id, rev))
        return torn

    def _follow(self, room: RoomState, user_id: str, pending: Pending) -> None:
        feed = self.feeds.get(room.room_id)
        if feed is None:
            feed = Feed(room.room_id, name=room.name, delivered=room.rev, seq=room.seq)
            self.feeds[room.room_id] = feed
            self.note_head(room.room_id, pending.unfollowed.get(room.room_id, 0))
            if pending.rung:
                self._stale_room(feed)
        feed.cursors[user_id] = max(room.read_seq, feed.cursors.get(user_id, 0))

    def leave(self, subscriber: Subscriber) -> bool:
        """Forget *subscriber*; tells whether it was the user's last here."""
        local = self.users.get(subscriber.user_id)
        if local is None or (subscriber not in local.live and subscriber not in local.pending):
            return False
        self._pending.pop(subscriber, None)
        local.pending.pop(subscriber, None)
        local.live.pop(subscriber, None)
        for room_id in local.rooms:
            if feed := self.feeds.get(room_id):
                self._detach(feed, subscriber)
        last = not local.live and not local.pending
        if last:
            for feed in [self.feeds[room_id] for room_id in local.rooms if room_id in self.feeds]:
                feed.cursors.pop(subscriber.user_id, None)
                self.drop_if_idle(feed)
            del self.users[subscriber.user_id]
            self.stale_users.discard(subscriber.user_id)
        return last

    def told(self, user_id: str) -> int | None:
        """Up to where the user's own log is applied here; None before the first connection's welcome."""
        local = self.users.get(user_id)
        return local.n if local is not None else None

    def rooms_of(self, user_id: str) -> set[str] | None:
        """The rooms that a user with live connections here is in; None for others."""
        local = self.users.get(user_id)
        return set(local.rooms) if local is not None and local.live else None

    def view(self, subscriber: Subscriber, room_id: str | None) -> None:
        """*subscriber* looks at one room now, or at none."""
        before, subscriber.viewing = subscriber.viewing, room_id
        if before is not None and (feed := self.feeds.get(before)) and subscriber in feed.listeners:
            self._notices.attached(feed, subscriber)
        if room_id is not None and (feed := self.feeds.get(room_id)):
            self._notices.detached(feed, subscriber)

    # Catching one connection up from the log.

    def hold(self, subscriber: Subscriber, room_id: str) -> bool:
        """Stop live events of the room for *subscriber* until `release`; False when it does not listen there."""
        if not self.listens(subscriber, room_id):
            return False
        feed = self.feeds[room_id]
        if subscriber not in feed.held:
            self._detach(feed, subscriber)
            feed.held[subscriber] = None
        return True

    def listens(self, subscriber: Subscriber, room_id: str) -> bool:
        """Whether *subscriber* hears the room (or is being caught up with it)."""
        feed = self.feeds.get(room_id)
        return feed is not None and (subscriber in feed.listeners or subscriber in feed.held)

    def heard(self, subscriber: Subscriber, room_id: str) -> int | None:
        """The rev up to which *subscriber* was sent the room's events; None when it does not listen there."""
        feed = self.feeds.get(room_id)
        if feed is None or subscriber not in feed.listeners:
            return None
        return max(feed.delivered, feed.late.get(subscriber, 0))

    def drop(self, subscriber: Subscriber, room_id: str) -> None:
        """Let *subscriber* hear nothing more of the room."""
        if feed := self.feeds.get(room_id):
            self._detach(feed, subscriber)
            self.drop_if_idle(feed)

    def held_until(self, subscriber: Subscriber, room_id: str) -> int | None:
        """The rev of the own leave that passed while held: nothing after it is for *subscriber*."""
        feed = self.feeds.get(room_id)
        return feed.held.get(subscriber) if feed is not None else 0

    def note_head(self, room_id: str, rev: int) -> None:
        """The log is known to reach *rev*: if this node is behind, its follower catches up."""
        feed = self.feeds.get(room_id)
        if feed is not None and rev > feed.delivered:
            feed.seen = max(feed.seen, rev)
            self._stale_room(feed)

    def tail(self, room_id: str, after: int) -> list[Entry] | None:
        """Delivered events of a followed room after a rev, when all of them are still kept."""
        feed = self.feeds.get(room_id)
        return feed.since(after) if feed is not None else None

    def release(self, subscriber: Subscriber, room_id: str, *, after: int) -> bool:
        """Let live events go on from *after* + 1; False (still held) when newer ones were delivered meanwhile."""
        feed = self.feeds.get(room_id)
        if feed is None or subscriber not in feed.held:
            return True
        if feed.held[subscriber] is None and feed.delivered > after:
            return False
        left = feed.held.pop(subscriber)
        if left is None:
            self._listen(feed, subscriber, after)
        self.drop_if_idle(feed)
        return True

    # Attaching.

    def _attach(self, feed: Feed, subscriber: Subscriber, *, after: int) -> bool:
        """Listen from *after* + 1, first replaying what was already delivered; False: held, replay from the log."""
        local = self.users[subscriber.user_id]
        entries = feed.since(after)
        if entries is None:
            local.rooms.add(feed.room_id)
            feed.held[subscriber] = None
            return False
        member = True
        for entry in entries:
            own = entry.member if entry.member is not None and entry.member.user.id == subscriber.user_id else None
            member = own.op == "join" if own is not None else member
            if member or own is not None:
                subscriber.outbox.send(entry.frame)
        if member:
            self._listen(feed, subscriber, after)
        self.drop_if_idle(feed)
        return True

    def _listen(self, feed: Feed, subscriber: Subscriber, after: int) -> None:
        self.users[subscriber.user_id].rooms.add(feed.room_id)
        feed.listeners[subscriber] = None
        if after > feed.delivered:
            feed.late[subscriber] = after
        self._notices.attached(feed, subscriber)

    def _detach(self, feed: Feed, subscriber: Subscriber) -> None:
        feed.listeners.pop(subscriber, None)
        feed.late.pop(subscriber, None)
        feed.held.pop(subscriber, None)
        self._notices.detached(feed, subscriber)

    def drop_if_idle(self, feed: Feed) -> None:
        """Stop following a room that nobody here listens to."""
        if feed.idle and self.feeds.get(feed.room_id) is feed:
            del self.feeds[feed.room_id]
            for pending in self._pending.values():  # their snapshots may be older than what was delivered
                pending.unfollowed[feed.room_id] = feed.seen
            self._tails.forget(feed)
            self.stale_rooms.discard(feed.room_id)
            for local in [self.users[u] for u in feed.cursors if u in self.users]:
                local.rooms.discard(feed.room_id)

    def _stale_room(self, feed: Feed) -> None:
        self.stale_rooms.add(feed.room_id)
        self._on_gap()

    def _note_user(self, user_id: str, local: Local, n: int) -> None:
        local.seen = max(local.seen, n)
        if local.n is not None and local.seen > local.n:
            self.stale_users.add(user_id)
            self._on_gap()
