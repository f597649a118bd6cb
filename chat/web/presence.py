"""Presence between the sockets of this node and the service: who came and went here, and who is told of whom."""

import asyncio
import time
from collections.abc import Iterable

import structlog

from chat.fanout.hub import Hub
from chat.protocol.errors import Fault
from chat.protocol.events import PresenceChanged
from chat.protocol.log import PresenceEvent
from chat.services import Chat

OFFLINE_AFTER_S = 0.5  # a connection that comes back sooner changes nothing
ROUND_S = 0.05  # between two rounds of telling
SLICE_S = 0.005  # of telling, before others are served; what one slice tells leaves in one write per connection
RETRY_S = 1.0

log = structlog.get_logger()


class PresenceDesk:
    """Keeps the service told, and members told of what the service finds; one round at a time, in small slices."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._wake = asyncio.Event()
        self._came: dict[str, None] = {}
        self._going: dict[str, float] = {}  # user -> loop time at which they count as gone
        self._held: dict[str, float] = {}  # user -> until when (Unix seconds) they stay online without a connection
        self._rooms: dict[str, set[str]] = {}  # of users who left this node, until that was told
        self._rung = False
        self._n = 0

    def arrived(self, user_id: str) -> None:
        """The user's first connection here."""
        if self._going.pop(user_id, None) is None:
            self._held.pop(user_id, None)
            self._came[user_id] = None
        self._wake.set()

    def left(self, user_id: str, *, rooms: Iterable[str], until: float | None) -> None:
        """The user's last connection here is gone; held over *until* (Unix seconds) when we closed it ourselves."""
        self._rooms[user_id] = set(rooms)
        if until is not None:
            self._held[user_id] = until
        elif self._came.pop(user_id, 0) == 0:
            self._going[user_id] = asyncio.get_running_loop().time() + OFFLINE_AFTER_S
        self._wake.set()

    def changed(self) -> None:
        """Someone's presence changed in the database, by whichever process."""
        self._rung = True
        self._wake.set()

    async def run(self, chat: Chat) -> None:
        """Serve until cancelled."""
        self._n = await chat.presence.head()
        while True:
            try:
                await self._round(chat)
            except Fault as fault:
                log.warning("presence.unavailable", code=fault.code)
                await asyncio.sleep(RETRY_S)
            except Exception:  # boundary: a bug must not leave everybody's presence as it is
                log.exception("presence.failed")
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(ROUND_S)
            await self._next_due()

    async def _next_due(self) -> None:
        now_s = asyncio.get_running_loop().time()
        delay_s = min(self._going.values()) - now_s if self._going else None
        try:
            async with asyncio.timeout(None if delay_s is None else max(0.0, delay_s)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _round(self, chat: Chat) -> None:
        await self.tell_service(chat, now_s=asyncio.get_running_loop().time())
        if self._rung:
            self._rung = False
            await self._tell_members(chat)

    async def tell_service(self, chat: Chat, *, now_s: float) -> None:
        """Pass on who came, went or is held over, as of *now_s* (loop time; infinity: everyone on the way out)."""
        came, self._came = self._came, {}
        held, self._held = self._held, {}
        gone = [user_id for user_id, at_s in self._going.items() if at_s <= now_s]
        for user_id in gone:
            del self._going[user_id]
        said = [chat.presence.connected(user_id) for user_id in came]
        said += [chat.presence.held_over(user_id, until) for user_id, until in held.items()]
        said += [chat.presence.disconnected(user_id) for user_id in gone]
        await asyncio.gather(*said)

    async def _tell_members(self, chat: Chat) -> None:
        while events := await chat.presence.changes(self._n):
            self._n = events[-1].n
            newest = {event.user.id: event for event in events}
            since_s = time.monotonic()
            for event in newest.values():
                await self._tell(chat, event)
                if time.monotonic() - since_s > SLICE_S:
                    await asyncio.sleep(0)
                    since_s = time.monotonic()

    async def _tell(self, chat: Chat, event: PresenceEvent) -> None:
        user = event.user
        rooms = self._hub.rooms_of(user.id) or self._rooms.get(user.id)
        if not event.online:
            self._rooms.pop(user.id, None)
        if user.username is None:  # erased, and so out of every room, of which this node may not have heard in time
            return
        if rooms is None:
            rooms = {room.room_id for room in (await chat.log.snapshot(user.id)).rooms}
        for room_id in rooms:
            change = PresenceChanged(room_id=room_id, user=user, online=event.online, last_active=event.last_active)
            self._hub.tell_room(room_id, change, but_user=user.id)
