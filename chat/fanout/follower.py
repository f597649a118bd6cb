"""Reads from the log what this node has not seen: after another process rang, and where delivery found a gap."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import structlog

from chat.fanout.feed import UNKNOWN_SEQ, Feed
from chat.fanout.hub import Hub
from chat.protocol.errors import Fault
from chat.protocol.events import MessageSent, RoomEvent
from chat.protocol.log import UserEvent

RETRY_S = 0.5
PAGE = 200  # events per read
HEADS = 500  # rooms or users asked about per read

log = structlog.get_logger()


class LogReader(Protocol):
    """What the follower needs of the log. Heads are the newest rev (and seq) or n; None: the room is gone."""

    async def room_events(self, room_id: str, after_rev: int, limit: int) -> Sequence[RoomEvent]: ...
    async def room_heads(self, room_ids: Sequence[str]) -> Mapping[str, tuple[int, int] | None]: ...
    async def user_events(self, user_id: str, after_n: int, limit: int) -> Sequence[UserEvent]: ...
    async def user_heads(self, user_ids: Sequence[str]) -> Mapping[str, int]: ...


class Follower:
    """Keeps a hub level with the log. `wake` may be called at any time; one read round runs at a time."""

    def __init__(self, hub: Hub, log: LogReader, *, room_name: Callable[[str], Awaitable[str]]) -> None:
        self._hub, self._log, self._room_name = hub, log, room_name
        self._wake = asyncio.Event()
        self._rung = False
        self.failing = False  # the last round came to nothing

    def wake(self) -> None:
        """Delivery found a gap."""
        self._wake.set()

    def ring(self) -> None:
        """Another process committed: compare everything that is followed."""
        self._rung = True
        self._hub.rang()
        self._wake.set()

    async def run(self) -> None:
        """Follow until cancelled; a round that fails is tried again, for whatever reason it did."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            everything = self._rung
            try:
                await self.catch_up()
            except Fault as fault:
                log.warning("follower.unavailable", code=fault.code)
            except Exception:  # boundary: a bug must not leave the process deaf to all others
                log.exception("follower.failed")
            else:
                self.failing = False
                continue
            self.failing = True
            self._rung = self._rung or everything
            self._wake.set()
            await asyncio.sleep(RETRY_S)

    async def catch_up(self) -> None:
        """One round: every stale room and user, after a ring every one, level with the log."""
        everything, self._rung = self._rung, False
        rooms = list(self._hub.feeds) if everything else list(self._hub.stale_rooms)
        users = list(self._hub.users) if everything else list(self._hub.stale_users)
        for start in range(0, len(users), HEADS):
            for user_id, n in (await self._log.user_heads(users[start : start + HEADS])).items():
                await self._kept_apart(self._user(user_id, n), user_id, self._hub.give_up_user)
        for start in range(0, len(rooms), HEADS):
            for room_id, head in (await self._log.room_heads(rooms[start : start + HEADS])).items():
                await self._kept_apart(self._room(room_id, head), room_id, self._hub.give_up_room)

    async def _kept_apart(self, reading: Awaitable[None], whose: str, give_up: Callable[[str], None]) -> None:
        """Read one room or user; what cannot be read costs those it concerns their connections, and nobody else."""
        try:
            await reading
        except Fault:
            raise
        except Exception:  # boundary: see above
            log.exception("follower.given_up", id=whose)
            give_up(whose)

    async def _room(self, room_id: str, head: tuple[int, int] | None) -> None:
        feed = self._hub.feeds.get(room_id)
        if feed is None:
            return
        if head is None or feed.describe or feed.delivered < max(head[0], feed.seen):
            await self._read_room(feed, head)
        if feed.delivered >= feed.seen:
            self._hub.stale_rooms.discard(room_id)

    async def _read_room(self, feed: Feed, head: tuple[int, int] | None) -> None:
        if feed.describe and head is not None:
            feed.name = await self._room_name(feed.room_id)
        while True:
            events = await self._log.room_events(feed.room_id, feed.delivered, PAGE)
            feed.describe = False
            if feed.seq == UNKNOWN_SEQ:
                first = next((e for e in events if isinstance(e, MessageSent)), None)
                feed.seq = first.message.seq - 1 if first is not None else (head[1] if head is not None else 0)
            before = feed.delivered
            for event in events:
                self._hub.deliver(event)
            if len(events) < PAGE or feed.delivered == before:
                break
        if head is None:
            self._hub.room_gone(feed)
        self._hub.drop_if_idle(feed)

    async def _user(self, user_id: str, n: int) -> None:
        local = self._hub.users.get(user_id)
        if local is None or local.n is None:
            return
        while (after := local.n) is not None and after < n:
            for event in await self._log.user_events(user_id, after, PAGE):
                self._hub.deliver_to_user(event)
            if local.n == after:
                break
        local.seen = local.n or 0
        self._hub.stale_users.discard(user_id)
