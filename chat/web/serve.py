"""`chat serve`: one server process from its sockets to its clean end, steered by signals."""

import asyncio
import gc
import os
import random
import resource
import secrets
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto

import structlog
import uvloop

from chat import logs, metrics
from chat.auth.keys import KeysFault
from chat.fanout.follower import Follower
from chat.fanout.hub import Hub
from chat.fanout.outbox import Tick
from chat.protocol.errors import Fault, sentence
from chat.protocol.events import MessageSent
from chat.protocol.log import Committed
from chat.services import Chat
from chat.settings import Settings
from chat.storage.schema import SchemaFault
from chat.web.app import create_app
from chat.web.hardening import capture
from chat.web.hardening.listener import Connections, Listener, config
from chat.web.presence import PresenceDesk
from chat.web.site import Site
from chat.web.sockets import CannotListen, Listening, listen, notify, tls_context, url_of
from chat.web.waiting import until

IDLE_GRACE_S = 0.5  # for a request that a kept-alive client has just sent
RECONNECT_MS = (250, 1_000)
SPARE_DESCRIPTORS = 256
GC_THRESHOLDS = (10_000, 20, 20)  # allocations, then younger collections; little here is cyclic, so seldom is enough

log = structlog.get_logger()


class Order(Enum):
    """What a signal asks for."""

    OPEN = auto()
    PARK = auto()
    STOP = auto()


SIGNALS = {
    signal.SIGUSR1: Order.OPEN,
    signal.SIGUSR2: Order.PARK,
    signal.SIGTERM: Order.STOP,
    signal.SIGINT: Order.STOP,
}


def run(settings: Settings) -> int:
    """Serve until SIGTERM; returns the exit code. A fault at the start is one sentence on stderr and 1."""
    logs.configure()
    if settings.bus_url is not None:
        log.warning("bus.ignored", remedy="this release has no bus: unset CHAT_BUS_URL, and run it on one machine")
    try:
        listening = listen(settings.bind, os.environ)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, listening))
    except (CannotListen, SchemaFault, KeysFault, Fault, OSError, sqlite3.Error) as fault:
        print(f"chat serve: {sentence(fault)}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: Settings, listening: Listening) -> None:
    orders: asyncio.Queue[Order] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    tls = tls_context(settings.tls_cert, settings.tls_key)
    for number, order in SIGNALS.items():
        loop.add_signal_handler(number, orders.put_nowait, order)
    async with _site(settings) as site:
        connections = Connections(create_app(site), config(), limit=_most_connections())
        server = Server(
            site=site,
            connections=connections,
            public=[Listener(s, connections, tls=tls) for s in listening.public],
            private=[Listener(s, connections) for s in listening.private],
            leave_public=listening.close_public,
        )
        await server.start(waits=listening.waits)
        for place in listening.public if not listening.waits else listening.private:
            encrypted = tls is not None and place in listening.public
            log.info("serve.listening", url=url_of(place, tls=encrypted), pid=os.getpid())
        _settle_memory()
        notify("READY=1", os.environ)
        await server.obey(orders)
    listening.close()


@asynccontextmanager
async def _site(settings: Settings) -> AsyncIterator[Site]:
    """Everything but the listeners: services, subscriptions, and the tasks that keep them level with the log."""
    loop = asyncio.get_running_loop()
    if faults := capture.faults():
        raise OSError(f"the installed stack does not fit this release: {'; '.join(faults)}")
    tick = Tick(loop.call_soon)
    wiring = _Wiring()
    hub = Hub(tick, call_later=loop.call_later, on_gap=wiring.gap, on_sent=_count)
    desk = PresenceDesk(hub)

    def on_commit(batch: Committed) -> None:
        try:
            hub.commit(batch)
        except Exception:  # boundary: what was committed is not undone; whoever may have missed some of it is closed
            log.exception("fanout.failed")
            for room_id in {event.room_id for event in batch.rooms}:
                hub.give_up_room(room_id)
            wiring.ring()
        if batch.presence:
            desk.changed()

    async with AsyncExitStack() as stack:
        chat = await stack.enter_async_context(
            Chat.open(settings, on_commit=on_commit, process_id=f"p_{secrets.token_hex(8)}")
        )
        chat.store.writer.on_batch = _measure_batch
        follower = wiring.follower = Follower(hub, chat.log, room_name=lambda room_id: _name(chat, room_id))
        chat.log.on_ring(follower.ring)
        chat.log.on_ring(desk.changed)
        tasks = [asyncio.create_task(follower.run()), asyncio.create_task(desk.run(chat))]
        site = Site(settings=settings, chat=chat, hub=hub, tick=tick, presence=desk)
        site.failing = lambda: ["fanout"] if follower.failing or any(task.done() for task in tasks) else []
        try:
            yield site
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(Fault):
                async with asyncio.timeout(1):
                    await desk.tell_service(chat, now_s=float("inf"))


@dataclass(slots=True)
class _Wiring:
    """The hub is made before the services that its follower reads."""

    follower: Follower | None = None

    def gap(self) -> None:
        if self.follower is not None:
            self.follower.wake()

    def ring(self) -> None:
        if self.follower is not None:
            self.follower.ring()


async def _name(chat: Chat, room_id: str) -> str:
    return (await chat.rooms.get(room_id)).name


def _count(_event: MessageSent, listeners: int) -> None:
    metrics.messages.delivered(listeners)


def _measure_batch(size: int, seconds: float) -> None:
    metrics.batch_size.observe(size)
    metrics.batch_seconds.observe(seconds)


def _settle_memory() -> None:
    """Keep what was loaded at the start out of every later garbage collection, which stops the server meanwhile.

    A full collection walked all modules and took 110 ms, every two seconds under load. Nor is one made now: what the
    start left behind is little, and the start had collection off.
    """
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()


def _most_connections() -> int:
    """As many as there are descriptors for; the soft limit is raised to the hard one first."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(64, min(hard, 1_048_576) - SPARE_DESCRIPTORS)


@dataclass(slots=True)
class Server:
    """A serving process between its start and its end."""

    site: Site
    connections: Connections
    public: list[Listener]
    private: list[Listener]
    leave_public: Callable[[], None]
    _closing: asyncio.Task[None] | None = None

    async def start(self, *, waits: bool) -> None:
        """Answer on the private sockets; on the public ones too unless told to wait."""
        for listener in self.private if waits else self.public:
            await listener.start()

    async def obey(self, orders: "asyncio.Queue[Order]") -> None:
        """Do what signals ask until the end."""
        while (order := await orders.get()) is not Order.STOP:
            match order:
                case Order.OPEN:
                    await self._open()
                case Order.PARK:
                    await self._park()
        await self._stop(orders)

    async def _open(self) -> None:
        await self._stop_closing()
        self.site.closing_connections = False
        for listener in self.public:
            await listener.start()
        log.info("serve.open")

    async def _park(self) -> None:
        for listener in self.public:
            listener.stop()
        self.site.closing_connections = True
        await self._stop_closing()
        self._closing = asyncio.create_task(self._close_sockets(self.site.settings.drain_s))
        log.info("serve.parked", sockets=len(self.site.sockets))

    async def _stop(self, orders: "asyncio.Queue[Order]") -> None:
        site, drain_s = self.site, self.site.settings.drain_s
        loop = asyncio.get_running_loop()
        site.draining = site.closing_connections = True
        for listener in self.public:
            listener.stop()
        self.leave_public()
        log.info("serve.draining", sockets=len(site.sockets), connections=len(self.connections))
        notify("STOPPING=1", os.environ)
        hurry = asyncio.create_task(_hurried(orders))
        await self._stop_closing()
        draining = asyncio.create_task(self._drain(deadline=loop.time() + drain_s + 1))
        await asyncio.wait({hurry, draining}, return_when=asyncio.FIRST_COMPLETED)
        for task in (hurry, draining):
            task.cancel()
        await asyncio.gather(hurry, draining, return_exceptions=True)
        for listener in self.private:
            listener.stop()
        await self.connections.end()
        log.info("serve.stopped")

    async def _drain(self, *, deadline: float) -> None:
        await self._close_sockets(self.site.settings.drain_s)
        await until(lambda: not self.site.sockets, within_s=3)
        await self.connections.until_quiet(deadline)
        if self.connections.idle():
            await asyncio.sleep(IDLE_GRACE_S)
            await self.connections.until_quiet(deadline)

    async def _close_sockets(self, within_s: float) -> None:
        """Close every socket 1012, spread evenly, so that they do not all come back at once."""
        sockets = list(self.site.sockets)
        random.shuffle(sockets)
        for place, socket in enumerate(sockets):
            socket.restart(reconnect_after_ms=random.randint(*RECONNECT_MS))  # noqa: S311 - spread, not secrecy
            if place + 1 < len(sockets):
                await asyncio.sleep(within_s / len(sockets))

    async def _stop_closing(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            with suppress(asyncio.CancelledError):
                await self._closing
            self._closing = None


async def _hurried(orders: "asyncio.Queue[Order]") -> None:
    """Return when asked a second time to stop."""
    while await orders.get() is not Order.STOP:
        pass
