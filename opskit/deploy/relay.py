"""The relay: gives a service that only takes a port the socket protocol of this toolkit, by passing bytes.

It runs as `opskit-relay TARGET` in the service's place: it starts the service on a free loopback port, says READY=1
when that port answers, serves `private` at once and `public` from SIGUSR1 to SIGUSR2, and ends with the service.
Each direction of a connection ends on its own (half-close), so request bodies, WebSockets and long downloads pass.
A parked relay lets requests finish: it closes a connection once it is idle between two answers, an upgraded one after
`drain_s`. One that is to end does so after `drain_s`, whatever is left.
"""

import asyncio
import contextlib
import json
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from opskit.deploy.sockets import EXHAUSTED, REST_S

RELAY = "OPSKIT_RELAY"  # the order, as JSON, in the relay's environment
_CHUNK_BYTES = 1 << 16
_IDLE_S = 0.5  # a parked connection that has been answered and silent for so long is between requests
_BETWEEN_S = 0.05  # as much is enough once `drain_s` is over
_CONNECT_S = 30.0
_ATTEMPT_S = 0.2  # a full accept queue drops the SYN, and the kernel's own second attempt comes after 1 s
_CONNECTING_AT_ONCE = 4  # `python -m http.server` has a queue of 5


def order(argv: Sequence[str], *, cwd: str, drain_s: float) -> str:
    """What a relay is to start, for the environment variable RELAY. `{port}` in *argv* and env values is filled in."""
    return json.dumps({"argv": list(argv), "cwd": cwd, "drain_s": drain_s})


class Connection:
    """One client's connection and the service's end of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.answered = False  # the newest bytes came from the service
        self.upgraded = False  # to a WebSocket, which has no end of its own
        self.moved_at = time.monotonic()

    async def relay(self, port: int, turn: asyncio.Semaphore) -> None:
        """Pass bytes both ways until both have ended; *turn* keeps a crowd from flooding the service's queue."""
        try:
            async with asyncio.timeout(_CONNECT_S), turn:
                upstream = await _connected(port)
        except (OSError, TimeoutError):
            self.writer.transport.abort()
            return
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(self.reader, upstream[1], answer=False))
                both.create_task(self._pass(upstream[0], self.writer, answer=True))
        except* OSError:  # one side reset: the other learns it at once
            upstream[1].transport.abort()
            self.writer.transport.abort()
        finally:
            upstream[1].close()
            self.writer.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answer: bool) -> None:
        while data := await source.read(_CHUNK_BYTES):
            self.answered, self.moved_at = answer, time.monotonic()
            self.upgraded |= answer and data.startswith(b"HTTP/1.1 101 ")
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()

    def over(self, *, parked_s: float, drain_s: float) -> bool:
        """Whether a relay that was parked *parked_s* ago may close it: it is silent after an answer, or upgraded."""
        late = parked_s >= drain_s
        silent_s = time.monotonic() - self.moved_at
        return late if self.upgraded else self.answered and silent_s >= (_BETWEEN_S if late else _IDLE_S)


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), _ATTEMPT_S)


class Relay:
    """The service's process and the connections to it."""

    def __init__(self, order: dict[str, Any], public: socket.socket, private: socket.socket) -> None:
        self.order, self.public, self.private = order, public, private
        self.drain_s = float(order["drain_s"])
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.connections: dict[Connection, asyncio.Task[None]] = {}
        self.parked: asyncio.Task[None] | None = None
        self.turn = asyncio.Semaphore(_CONNECTING_AT_ONCE)
        self.serving = False
        self.accepting: set[socket.socket] = set()

    async def run(self) -> int:
        """Serve until the service ends; returns its exit code."""
        loop = asyncio.get_running_loop()
        self.accept(self.private)
        service = await self._start()
        loop.add_signal_handler(signal.SIGUSR1, self.unpark)
        loop.add_signal_handler(signal.SIGUSR2, self.park)
        ended = loop.create_task(service.wait())
        stop = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGABRT, service.send_signal, signal.SIGABRT)
        ready = loop.create_task(self._announce())
        stopped = loop.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not ended.done():
            await self._drain()
            with contextlib.suppress(ProcessLookupError):
                service.terminate()
        return await ended

    def unpark(self) -> None:
        """Accept on public."""
        if self.parked:
            self.parked.cancel()
            self.parked = None
        if not self.serving:
            self.serving = True
            self.accept(self.public)

    def park(self) -> None:
        """Stop accepting on public and let what there is finish."""
        if self.serving:
            self.serving = False
            self._refuse(self.public)
            self.parked = asyncio.get_running_loop().create_task(self._finish())

    def accept(self, listener: socket.socket) -> None:
        """Take every connection of *listener* from now on."""
        self.accepting.add(listener)
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _refuse(self, listener: socket.socket) -> None:
        self.accepting.discard(listener)
        asyncio.get_running_loop().remove_reader(listener)

    def _rest(self, listener: socket.socket) -> None:
        """Leave connections in the queue for a moment: there is no descriptor for another one."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        loop.call_later(REST_S, lambda: self.accept(listener) if listener in self.accepting else None)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):
            try:
                client, _address = listener.accept()
            except OSError as fault:  # none left, another process was quicker, or the client is gone again
                if fault.errno in EXHAUSTED:
                    self._rest(listener)
                return
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            asyncio.get_running_loop().create_task(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client, limit=_CHUNK_BYTES)
        connection = Connection(reader, writer)
        task = asyncio.current_task()
        if task:
            self.connections[connection] = task
        try:
            await connection.relay(self.port, self.turn)
        finally:
            self.connections.pop(connection, None)

    async def _finish(self) -> None:
        """Close each connection when it is over; a request that is never answered ends with the relay."""
        await self._close_for(math.inf)

    async def _drain(self) -> None:
        """Accept no more, close each connection when it is over, and after `drain_s` whatever is left."""
        for listener in (self.public, self.private):
            self._refuse(listener)
        await self._close_for(self.drain_s)
        for connection in list(self.connections):
            connection.writer.close()
        await asyncio.sleep(0.1)

    async def _close_for(self, seconds: float) -> None:
        began = time.monotonic()
        while self.connections and (parked_s := time.monotonic() - began) < seconds:
            for connection in [c for c in self.connections if c.over(parked_s=parked_s, drain_s=self.drain_s)]:
                connection.writer.close()
            await asyncio.sleep(0.05)

    async def _start(self) -> asyncio.subprocess.Process:
        own = {"LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "NOTIFY_SOCKET", RELAY}
        env = {key: self._filled(value) for key, value in os.environ.items() if key not in own}
        argv = [self._filled(word) for word in self.order["argv"]]
        return await asyncio.create_subprocess_exec(*argv, cwd=self.order["cwd"], env=env)

    def _filled(self, text: str) -> str:
        return text.replace("{port}", str(self.port))

    async def _announce(self) -> None:
        """Say READY=1 once the service accepts on its port."""
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                break
            await asyncio.sleep(0.05)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(os.environ["NOTIFY_SOCKET"])
            notify.send(b"READY=1")


def main() -> None:
    """Run as the relay; the sockets are descriptors 3 and 4."""
    public, private = socket.socket(fileno=3), socket.socket(fileno=4)
    for listener in (public, private):
        listener.setblocking(False)
        listener.set_inheritable(False)
    relay = Relay(json.loads(os.environ[RELAY]), public, private)
    try:
        code = asyncio.run(relay.run())
    except OSError as fault:
        sys.exit(f"opskit-relay: {fault}")
    if code < 0:  # end as the service did, so that the supervisor sees the signal
        with contextlib.suppress(OSError):  # SIGKILL has no handler to reset
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
