"""Notifications of one process: the first message in a room at once, further ones within a second merged into one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chat.fanout.feed import Feed
from chat.fanout.frames import json_bytes, text_frame
from chat.fanout.subscriber import Subscriber
from chat.protocol.events import MessageSent
from chat.text import preview

MERGE_S = 1.0

CallLater = Callable[[float, Callable[[], None]], object]


@dataclass(slots=True, eq=False)
class Wave:
    """Subscribers of one room notified at the same moment; `seq` is the message they were told of."""

    feed: Feed
    seq: int


class Notices:
    """Tells each listener that is not viewing a room of others' messages there, at most once a second and room.

    In the steady state (everyone viewing, or told less than a second ago) a message costs nothing here: only
    `feed.eager`, those to be told at once, is walked.
    """

    def __init__(self, call_later: CallLater) -> None:
        self._call_later = call_later

    def attached(self, feed: Feed, subscriber: Subscriber) -> None:
        """*subscriber* listens to *feed* from now on."""
        if subscriber.viewing != feed.room_id:
            feed.eager[subscriber] = None

    def detached(self, feed: Feed, subscriber: Subscriber) -> None:
        """*subscriber* no longer listens, or looks at the room now."""
        feed.eager.pop(subscriber, None)
        feed.quiet.pop(subscriber, None)

    def message(self, feed: Feed, event: MessageSent) -> None:
        """*event* was delivered to the feed's listeners."""
        if feed.eager:
            author = event.message.sender.id
            if others := [s for s in feed.eager if s.user_id != author]:
                self._notify(feed, others)

    def _notify(self, feed: Feed, subscribers: Iterable[Subscriber]) -> None:
        wave = Wave(feed, feed.seq)
        frames: dict[tuple[str, int], bytes] = {}
        templates: dict[str, tuple[bytes, bytes]] = {}
        for subscriber in subscribers:
            newest = feed.newest_for(subscriber.user_id)
            unread = feed.seq - feed.cursors.get(subscriber.user_id, feed.seq)
            if newest is None or unread <= 0 or subscriber in feed.late:
                continue
            key = (newest.message.id, unread)
            frame = frames.get(key)
            if frame is None:
                head, tail = templates.get(key[0]) or templates.setdefault(key[0], _template(feed, newest))
                frame = frames[key] = text_frame(head + str(unread).encode() + tail)
            if subscriber.outbox.hint(frame):
                feed.eager.pop(subscriber, None)
                feed.quiet[subscriber] = wave
        if frames:
            self._call_later(MERGE_S, lambda: self._ended(wave))

    def _ended(self, wave: Wave) -> None:
        feed, again = wave.feed, []
        for subscriber in [s for s, told in feed.quiet.items() if told is wave]:
            del feed.quiet[subscriber]
            feed.eager[subscriber] = None
            newest = feed.newest_for(subscriber.user_id)
            if newest is not None and newest.message.seq > wave.seq:
                again.append(subscriber)
        self._notify(feed, again)


def _template(feed: Feed, event: MessageSent) -> tuple[bytes, bytes]:
    """A `notification` frame's JSON before and after the number of unread messages, which differs by reader."""
    message = event.message
    fields = {
        "type": "notification",
        "room_id": feed.room_id,
        "room_name": feed.name,
        "message_id": message.id,
        "sender": message.sender,
        "preview": preview(message.content),
    }
    return json_bytes(fields)[:-1] + b',"unread":', b"}"
