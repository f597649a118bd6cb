"""The delivery of what was committed to those who listen on this node. Nothing here awaits, so nothing locks."""

from chat.fanout.feed import UNKNOWN_SEQ, Feed
from chat.fanout.frames import encode
from chat.fanout.local import Local
from chat.fanout.subscriptions import Subscriptions
from chat.protocol.events import Event, MemberChanged, MessageSent, ReadMoved, RoomChanged, RoomEvent
from chat.protocol.log import Committed, UserEvent, UserOp

OUR_BUG, SESSION_ENDED, ACCOUNT_GONE = 1011, 4011, 4012


class Hub(Subscriptions):
    """Delivers to the subscriptions of one process. Feeds follow the rooms' logs in order; gaps are left to the log."""

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
            if user_event.op is UserOp.ACCOUNT_GONE:
                self._forget_names()

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
            case MemberChanged(op="join"):
                self._moved_since_join(feed, event.user.id)
            case MemberChanged(op="leave"):
                self._member_left(feed, event)
                if event.user.username is None:
                    self._forget_names()
            case RoomChanged(op="rename"):
                feed.name = event.name or feed.name
            case RoomChanged(op="delete"):
                self.room_gone(feed)

    def give_up_room(self, room_id: str) -> None:
        """Delivery in the room went wrong: its listeners are closed, to come back and begin with what the log says."""
        feed = self.feeds.get(room_id)
        if feed is None:
            return
        for subscriber in [*feed.listeners, *feed.held]:
            self._detach(feed, subscriber)
            subscriber.close(OUR_BUG, "delivery failed")
        feed.joining = 0
        self.drop_if_idle(feed)

    def give_up_user(self, user_id: str) -> None:
        """As `give_up_room`, for all connections of one user."""
        local = self.users.get(user_id)
        for subscriber in local.everyone() if local is not None else ():
            subscriber.close(OUR_BUG, "delivery failed")
        self.stale_users.discard(user_id)

    def _forget_names(self) -> None:
        """Someone was erased: what is kept encoded may name them, the log no longer does."""
        for feed in self.feeds.values():
            self._tails.forget(feed)

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
            self._tell_read(feed, self.users[sender], moved, but=origin)
        self._notices.message(feed, event)

    def _tell_read(self, feed: Feed, local: Local, event: ReadMoved, *, but: str | None) -> None:
        here = [s for s in local.live if s in feed.listeners or s in feed.held]
        if others := [s for s in here if s.connection_id != but]:
            frame = encode(event)
            for subscriber in others:
                subscriber.outbox.hint(frame)

    def _member_joined(self, feed: Feed, event: MemberChanged) -> None:
        local = self.users.get(event.user.id)
        if local is None:
            return
        feed.cursors[event.user.id] = feed.seq
        local.joined[feed.room_id] = event.rev
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
        # A room that nobody here follows yet: follow it from just before the join. The name comes from the log.
        room_id, rev = event.room_id, event.rev
        if room_id is None or rev is None or event.user_id not in self.users:
            return
        local = self.users[event.user_id]
        local.joining[room_id] = max(rev, local.joining.get(room_id, 0))
        if followed := self.feeds.get(room_id):
            followed.joining = max(followed.joining, rev)  # a leave still to be delivered must not end the following
            if local.joined.get(room_id, 0) < rev <= followed.delivered:
                self._joined_before(followed, event.user_id, rev, read_seq=event.read_seq)
            return
        seq = UNKNOWN_SEQ if event.read_seq is None else event.read_seq
        feed = self.feeds[room_id] = Feed(room_id, name="", delivered=rev - 1, seq=seq)
        feed.seen, feed.joining, feed.describe = rev, rev, True
        self._stale_room(feed)

    def _joined_before(self, feed: Feed, user_id: str, rev: int, *, read_seq: int | None) -> None:
        """Let a user's connections in on a room that others' have had followed from past the join at *rev*."""
        local = self.users[user_id]
        local.joined[feed.room_id] = rev
        feed.cursors.setdefault(user_id, feed.seq if read_seq is None else read_seq)
        for subscriber in local.live:
            out = subscriber not in feed.listeners and subscriber not in feed.held
            if out and not self._attach(feed, subscriber, after=rev - 1):
                subscriber.replay(feed.room_id, rev - 1)

    def _cursor_moved(self, local: Local, event: UserEvent) -> None:
        feed = self.feeds.get(event.room_id or "")
        if feed is None or event.read_seq is None:
            return  # none of this node's connections is in the room
        moved = ReadMoved(room_id=feed.room_id, read_seq=event.read_seq, unread=event.unread or 0)
        if local.joining.get(feed.room_id, 0) > local.joined.get(feed.room_id, 0):
            local.moved[feed.room_id] = moved  # the own log is ahead of the room's; the join sets the cursor first
        else:
            self._move_cursor(feed, event.user_id, moved, but=event.connection_id)

    def _moved_since_join(self, feed: Feed, user_id: str) -> None:
        local = self.users.get(user_id)
        if local is not None and local.joined.get(feed.room_id, 0) >= local.joining.get(feed.room_id, 0):
            moved = local.moved.pop(feed.room_id, None)
            if moved is not None:
                self._move_cursor(feed, user_id, moved, but=None)

    def _move_cursor(self, feed: Feed, user_id: str, moved: ReadMoved, *, but: str | None) -> None:
        if user_id in feed.cursors:
            feed.cursors[user_id] = max(moved.read_seq, feed.cursors[user_id])
        self._tell_read(feed, self.users[user_id], moved, but=but)

    # Ephemeral.

    def tell_room(self, room_id: str, event: Event, *, but_user: str) -> None:
        """Send an ephemeral event to a room's listeners, never to *but_user*'s own."""
        feed = self.feeds.get(room_id)
        if feed is None:
            return
        frame = encode(event)
        catching_up = [subscriber for subscriber, left in feed.held.items() if left is None]
        for subscriber in (*feed.listeners, *catching_up):
            if subscriber.user_id != but_user:
                subscriber.outbox.hint(frame)
