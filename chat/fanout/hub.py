"""Who listens to what on this node, and the delivery of what was committed. Nothing here awaits, so nothing locks."""

from collections.abc import Callable, Iterable

from chat.fanout.feed import Entry, Feed, Tails
from chat.fanout.frames import encode
from chat.fanout.local import Local, Pending
from chat.fanout.notices import CallLater, Notices
from chat.fanout.outbox import Tick
from chat.fanout.subscriber import Subscriber
from chat.protocol.events import Event, MemberChanged, MessageSent, ReadMoved, RoomChanged, RoomEvent
from chat.protocol.log import Committed, UserEvent, UserOp
from chat.protocol.models import RoomState

SESSION_ENDED, ACCOUNT_GONE = 4011, 4012


class Hub:
    """The subscriptions of one process. Feeds follow the rooms' logs in order; gaps are left to the log's follower."""

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
        self._detach(self.feeds[room_id], subscriber)
        self.feeds[room_id].held[subscriber] = None
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

    # What was committed.

    def commit(self, batch: Committed) -> None:
        """Deliver what a transaction of this process made, straight where it follows what was delivered."""
        for user_event in batch.users:
            local = self.users.get(user_event.user_id)
            if user_event.op is UserOp.JOINED and local is not None and user_event.n > (local.n or 0):
                self._joined(user_event)
        origins = dict(batch.origins)
        for event in batch.rooms:
            self.deliver(event, origin=origins.get(event.message.id) if isinstance(event, MessageSent) else None)
        for user_event in batch.users:
            self.deliver_to_user(user_event)

    def rang(self) -> None:
        """Another process committed something."""
        for pending in self._pending.values():
            pending.rung = True

    def deliver(self, event: RoomEvent, *, origin: str | None = None) -> None:
        """Deliver one event of a room's log if it is the next one; a gap makes the room stale."""
        feed = self.feeds.get(event.room_id)
        if feed is None:
            for pending in self._pending.values():
                pending.unfollowed[event.room_id] = event.rev
            return
        if event.rev <= feed.delivered:
            return
        if event.rev > feed.delivered + 1 or feed.describe:
            feed.seen = max(feed.seen, event.rev)
            self._stale_room(feed)
            return
        self._deliver(feed, event, origin)

    def _deliver(self, feed: Feed, event: RoomEvent, origin: str | None) -> None:
        feed.delivered = event.rev
        feed.seen = max(feed.seen, event.rev)
        if isinstance(event, MemberChanged) and event.op == "join":
            self._member_joined(feed, event)
        frame = encode(event)
        self._tails.keep(feed, event, frame)
        self._spread(feed, frame, rev=event.rev)
        match event:
            case MessageSent():
                self._message(feed, event, origin)
            case MemberChanged(op="leave"):
                self._member_left(feed, event)
            case RoomChanged(op="rename"):
                feed.name = event.name or feed.name
            case RoomChanged(op="delete"):
                self.room_gone(feed)

    def _spread(self, feed: Feed, frame: bytes, *, rev: int) -> None:
        found_empty = []
        for subscriber in feed.listeners:
            outbox = subscriber.outbox
            if feed.late and rev <= feed.late.get(subscriber, 0):
                continue
            if not outbox.frames:
                found_empty.append(outbox)
            outbox.frames.append(frame)
        self._tick.join(found_empty)
        if feed.late:
            feed.late = {s: start for s, start in feed.late.items() if start >= rev}

    def _message(self, feed: Feed, event: MessageSent, origin: str | None) -> None:
        feed.note_message(event)
        self._on_sent(event, len(feed.listeners))
        sender = event.message.sender.id
        if sender in feed.cursors and sender in self.users:
            feed.cursors[sender] = event.message.seq
            moved = ReadMoved(room_id=feed.room_id, read_seq=feed.seq, unread=0)
            self._tell_read(self.users[sender], moved, but=origin)
        self._notices.message(feed, event)

    def _tell_read(self, local: Local, event: ReadMoved, *, but: str | None) -> None:
        if others := [s for s in local.live if s.connection_id != but]:
            frame = encode(event)
            for subscriber in others:
                subscriber.outbox.hint(frame)

    def _member_joined(self, feed: Feed, event: MemberChanged) -> None:
        local = self.users.get(event.user.id)
        if local is None:
            return
        feed.cursors[event.user.id] = feed.seq
        if local.live:
            local.rooms.add(feed.room_id)  # one that is ahead of the feed listens already
        for subscriber in local.live:
            if subscriber in feed.held:
                feed.held[subscriber] = None
            elif subscriber not in feed.listeners:
                self._listen(feed, subscriber, event.rev - 1)
        for pending in local.pending.values():
            pending.joined[feed.room_id] = event.rev

    def _member_left(self, feed: Feed, event: MemberChanged) -> None:
        local = self.users.get(event.user.id)
        if local is None:
            return
        for subscriber in local.live:
            if subscriber in feed.held:
                feed.held[subscriber] = event.rev
            elif event.rev > feed.late.get(subscriber, 0):
                self._detach(feed, subscriber)
        for pending in local.pending.values():
            pending.joined.pop(feed.room_id, None)
        feed.cursors.pop(event.user.id, None)
        local.rooms.discard(feed.room_id)
        self.drop_if_idle(feed)

    def room_gone(self, feed: Feed) -> None:
        """The room no longer exists, whether or not its `delete` could still be read."""
        for subscriber in [*feed.listeners]:
            self._detach(feed, subscriber)
        for subscriber in feed.held:
            feed.held[subscriber] = feed.delivered
        self.drop_if_idle(feed)

    # What concerns one user across rooms.

    def deliver_to_user(self, event: UserEvent) -> None:
        """Apply one event of a user's log if it is the next one; a gap makes the user stale."""
        local = self.users.get(event.user_id)
        if local is None:
            return
        if local.n is None or event.n == local.n + 1:
            local.n = event.n if local.n is not None else None
            self._apply(local, event)
        elif event.n > local.n:
            self._note_user(event.user_id, local, event.n)

    def _apply(self, local: Local, event: UserEvent) -> None:
        match event.op:
            case UserOp.JOINED:
                self._joined(event)
            case UserOp.READ:
                self._cursor_moved(local, event)
            case UserOp.SESSION_ENDED:
                self.end_session(event.user_id, event.session_id)
            case UserOp.ACCOUNT_GONE:
                for subscriber in local.everyone():
                    subscriber.close(ACCOUNT_GONE, "account gone")
            case UserOp.LEFT:
                pass  # the room's own event says it, in its place

    def end_session(self, user_id: str, session_id: str | None) -> None:
        """Close the connections of a session that has ended."""
        local = self.users.get(user_id)
        for subscriber in local.everyone() if local is not None else ():
            if subscriber.session_id == session_id:
                subscriber.close(SESSION_ENDED, "session ended")

    def _joined(self, event: UserEvent) -> None:
        # A room that nobody here follows yet: follow it from just before the join. Name and place come from the log.
        room_id, rev = event.room_id, event.rev
        if room_id is None or rev is None or event.user_id not in self.users:
            return
        if followed := self.feeds.get(room_id):
            followed.joining = max(followed.joining, rev)  # a leave still to be delivered must not end the following
            return
        feed = self.feeds[room_id] = Feed(room_id, name="", delivered=rev - 1, seq=event.read_seq or 0)
        feed.seen, feed.joining, feed.describe = rev, rev, True
        self._stale_room(feed)

    def _cursor_moved(self, local: Local, event: UserEvent) -> None:
        if event.room_id is None or event.read_seq is None:
            return
        feed = self.feeds.get(event.room_id)
        if feed is not None and event.user_id in feed.cursors:
            feed.cursors[event.user_id] = max(event.read_seq, feed.cursors[event.user_id])
        moved = ReadMoved(room_id=event.room_id, read_seq=event.read_seq, unread=event.unread or 0)
        self._tell_read(local, moved, but=event.connection_id)

    # Ephemeral.

    def tell_room(self, room_id: str, event: Event, *, but_user: str) -> None:
        """Send an ephemeral event to a room's listeners, never to *but_user*'s own."""
        feed = self.feeds.get(room_id)
        if feed is None:
            return
        frame = encode(event)
        for subscriber in feed.listeners:
            if subscriber.user_id != but_user:
                subscriber.outbox.hint(frame)

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
