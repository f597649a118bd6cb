"""One connection's life after the upgrade: hello, commands in order, heartbeat, the token's expiry, and its end."""

import asyncio
import contextlib
import secrets
import time
from datetime import UTC, datetime

import structlog

from chat import metrics
from chat.fanout.frames import PING, PONG, control_frame, encode
from chat.fanout.outbox import Outbox
from chat.fanout.subscriber import Subscriber
from chat.protocol.errors import Fault, TokenExpired, Unauthorized
from chat.protocol.events import AuthExpiring, GoingAway, Hello
from chat.protocol.log import Snapshot, Who
from chat.protocol.models import Limits, RoomState, User
from chat.web.call import MAX_BODY_BYTES
from chat.web.hardening.capture import Sink
from chat.web.hardening.inbound import Inbox
from chat.web.limits import Bucket
from chat.web.problems import of_bug
from chat.web.site import Site
from chat.web.socket.bridge import Bridge
from chat.web.socket.commands import Commands
from chat.web.socket.resume import replay

log = structlog.get_logger()

VERSION = "chat.v1"
CONTENT_GRAPHEMES = 4_000
NORMAL, OUR_BUG, RESTARTING = 1000, 1011, 1012
SESSION_ENDED, TOO_MANY_CONNECTIONS, EXPIRED = 4011, 4102, 4110
HEARTBEAT_LOST, SLOW_CONSUMER = 4201, 4208
EVENTS_PER_READ = 200
SILENT_BEATS = 2
WARNING_S = 60  # before expiry
CLOSE_S = 2.0  # for the peer to answer a close
HELD_S = 10.0  # presence outlives a close of ours by this and the time we asked the client to wait
RECONNECT_MS = 1_000  # what a slow consumer is told nothing of, but is given


class Session:
    """A connected client. `close` may be called from anywhere and at any time; the first reason counts."""

    def __init__(self, site: Site, who: Who, bridge: Bridge, *, inbox: Inbox, sink: Sink) -> None:
        self.site, self.who, self.bridge, self.inbox, self.sink = site, who, bridge, inbox, sink
        self.connection_id = f"c_{secrets.token_urlsafe(12)}"
        self.outbox = Outbox(sink, site.tick, on_overflow=self.overflow)
        self.subscriber = Subscriber(
            connection_id=self.connection_id,
            user_id=who.user_id,
            username=who.username,
            session_id=who.session_id,
            outbox=self.outbox,
            close=self.close,
            replay=self._replay_soon,
        )
        self.replaying = asyncio.Lock()  # one room at a time is caught up with
        self._replays: set[asyncio.Task[None]] = set()
        self._hold_s = 0.0  # how long the user still counts as online after the end
        self._closing: tuple[int, str] | None = None
        self._greeted = False
        self._expiry_timer: asyncio.TimerHandle | None = None
        self._beat_slot = 0  # of the wheel
        inbox.on_fault, inbox.on_ping = self.close, self._pong

    async def run(self) -> None:
        """Serve the connection to its end."""
        self.site.sockets.add(self)
        metrics.connections.inc()
        who = self.who
        log.info("socket.opened", connection=self.connection_id, user=who.user_id, session=who.session_id)
        try:
            await self._serve()
        except Fault as fault:
            log.warning("socket.unavailable", connection=self.connection_id, code=fault.code)
            self.close(OUR_BUG, "unavailable")
        except Exception as error:  # noqa: BLE001 - boundary: a bug closes this connection 1011, with an incident id
            self.close(OUR_BUG, str(of_bug(error, where="socket")))
        finally:
            self._leave()
            metrics.connections.dec()
            await self._finish()
            self.site.sockets.discard(self)

    async def _serve(self) -> None:
        site, hub = self.site, self.site.hub
        if site.sockets_of(self.who.user_id) >= site.settings.max_sockets_per_user:
            self.close(TOO_MANY_CONNECTIONS, "too many connections")
            return
        if hub.enter(self.subscriber):
            site.presence.arrived(self.who.user_id)
        snapshot, alive = await asyncio.gather(self._snapshot(), site.chat.sessions.check(self.who.session_id))
        if not alive:
            self.close(SESSION_ENDED, "session ended")
        if self._closing is not None:
            return
        self.outbox.send(encode(self._hello(snapshot.rooms)))
        self._greeted = True
        torn = hub.welcome(self.subscriber, n=snapshot.n, rooms=snapshot.rooms)
        self._start_timers()
        for room_id, rev in torn:
            async with self.replaying:
                await replay(self, room_id, after=rev)
        await self._obey()

    async def _snapshot(self) -> Snapshot:
        """Where the user stands, as new as all that the user's other connections here have been told, and no newer.

        A room that another process put the user in is followed from that join on only if the join is noticed before
        this connection has the room followed from today on; the others would never hear of it.
        """
        log, hub, user_id = self.site.chat.log, self.site.hub, self.who.user_id
        while True:
            snapshot = await log.snapshot(user_id)
            while (told := hub.told(user_id)) is not None and told < snapshot.n:
                for event in await log.user_events(user_id, told, EVENTS_PER_READ):
                    hub.deliver_to_user(event)
                if hub.told(user_id) == told:
                    break  # older ones are no longer kept
            if told is None or told <= snapshot.n:
                return snapshot

    def _replay_soon(self, room_id: str, after: int) -> None:
        task = asyncio.create_task(self._replay(room_id, after))
        self._replays.add(task)
        task.add_done_callback(self._replays.discard)

    async def _replay(self, room_id: str, after: int) -> None:
        try:
            async with self.replaying:
                await replay(self, room_id, after=after)
        except Fault:
            self.close(OUR_BUG, "unavailable")  # the client comes back and resumes

    async def _obey(self) -> None:
        settings = self.site.settings
        rate = settings.rate_commands_per_s
        bucket = Bucket(rate, 4 * rate, 4 * rate, self.site.loop_time()) if rate else None
        commands = Commands(self, bucket)
        handled = 0
        while (raw := await self.inbox.next()) is not None:
            await commands.handle(raw)
            handled += 1
            if not handled % 64:
                await asyncio.sleep(0)  # many frames in one read must not keep others waiting
        await commands.settled()

    def _hello(self, rooms: list[RoomState]) -> Hello:
        settings = self.site.settings
        rate = settings.rate_messages_per_s
        return Hello(
            version=VERSION,
            connection_id=self.connection_id,
            user=User(id=self.who.user_id, username=self.who.username),
            epoch=self.site.chat.epoch,
            heartbeat_ms=settings.heartbeat_ms,
            token_expires_at=timestamp(self.who.expires_at),
            limits=Limits(
                frame_bytes=MAX_BODY_BYTES,
                content_graphemes=CONTENT_GRAPHEMES,
                messages_per_s=rate or None,
                burst=settings.burst or None,
            ),
            rooms=rooms,
        )

    # The end.

    def close(self, code: int, reason: str) -> None:
        """End the connection with *code*; what was queued before still leaves."""
        if self._closing is not None:
            return
        self._closing = (code, reason)
        self.inbox.stop()
        self.outbox.close()

    @property
    def closing(self) -> bool:
        """Whether the end has begun."""
        return self._closing is not None

    def overflow(self) -> None:
        """The peer does not take what is sent."""
        self._hold_s = RECONNECT_MS / 1000 + HELD_S
        self.close(SLOW_CONSUMER, "slow consumer")

    def restart(self, *, reconnect_after_ms: int) -> None:
        """This process is about to end or to rest: ask the client to come back."""
        if self._closing is None:
            self._hold_s = reconnect_after_ms / 1000 + HELD_S
            if self._greeted:  # hello is the first frame; before it the close says enough
                self.outbox.send(encode(GoingAway(reconnect_after_ms=reconnect_after_ms)))
            self.close(RESTARTING, f"reconnect_after_ms={reconnect_after_ms}")

    def _leave(self) -> None:
        for task in self._replays:
            task.cancel()
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        self.site.heartbeats.leave(self._beat, self._beat_slot)
        if self._closing is None:
            self.close(NORMAL, "")
        site, user_id = self.site, self.who.user_id
        rooms = site.hub.rooms_of(user_id) or ()
        if site.hub.leave(self.subscriber):
            site.presence.left(user_id, rooms=rooms, until=site.now() + self._hold_s if self._hold_s else None)

    async def _finish(self) -> None:
        sink = self.sink
        code, reason = self._closing or (NORMAL, "")
        if not self.inbox.is_peer_closed:
            metrics.closes.labels(str(code)).inc()
            log.info("socket.closed", connection=self.connection_id, code=code)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await sink.sent()
                await self.bridge.close(code, reason[:120])
                await sink.sent()
                await self.inbox.until_peer_closed()
        if sink.backlog_bytes():
            sink.abort()

    # Timers: heartbeat and expiry.

    def _start_timers(self) -> None:
        self._beat_slot = self.site.heartbeats.join(self._beat, self.site.settings.heartbeat_ms / 1000)
        self._watch_expiry()

    def _beat(self) -> None:
        if self._closing is not None:
            return
        beat_s, silent_s = self.site.settings.heartbeat_ms / 1000, time.monotonic() - self.inbox.heard_s
        if silent_s >= SILENT_BEATS * beat_s:
            self.close(HEARTBEAT_LOST, "heartbeat")
            return
        self.outbox.send(control_frame(PING))
        left_s = min(beat_s, SILENT_BEATS * beat_s - silent_s)  # given up in time, not at the beat after
        self._beat_slot = self.site.heartbeats.join(self._beat, left_s)

    def _pong(self, payload: bytes) -> None:
        self.outbox.send(control_frame(PONG, payload))

    def _watch_expiry(self) -> None:
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        left_s = self.who.expires_at - self.site.now()
        self._expiry_timer = asyncio.get_running_loop().call_later(max(0.0, left_s - WARNING_S), self._warn)

    def _warn(self) -> None:
        self.outbox.send(encode(AuthExpiring(expires_at=timestamp(self.who.expires_at))))
        left_s = self.who.expires_at - self.site.now() + self.site.settings.auth_grace_s
        self._expiry_timer = asyncio.get_running_loop().call_later(left_s, self.close, EXPIRED, "token expired")

    def expired(self) -> TokenExpired | None:
        """What to answer once the access token has run out."""
        if self.site.now() < self.who.expires_at:
            return None
        return TokenExpired("the access token has expired; send auth")

    async def authenticate(self, access_token: str) -> str:
        """Go on with a new token of the same session; returns when that one expires."""
        who = await self.site.chat.sessions.authenticate(access_token)
        if (who.user_id, who.session_id) != (self.who.user_id, self.who.session_id):
            raise Unauthorized("this token is of another session: send one of the session that opened this connection")
        self.who = who
        self._watch_expiry()
        return timestamp(who.expires_at)


def timestamp(seconds: float) -> str:
    """Unix time as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
