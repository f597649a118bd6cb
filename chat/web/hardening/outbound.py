"""Where a connection's frames go: its transport, or plain ASGI where that is not to be had. Same bytes either way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from chat.fanout.frames import is_text, payload_of
from chat.web.waiting import until

Send = Callable[[Any], Awaitable[None]]


class Transport(Protocol):
    """What is used of asyncio's transports."""

    def write(self, data: bytes) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def is_closing(self) -> bool: ...
    def abort(self) -> None: ...


class TransportSink:
    """Writes ready-made frames beneath the server's own stream, all that waits in one write."""

    __slots__ = ("_transport",)

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def write(self, frames: list[bytes]) -> None:
        """Take *frames* at once; a connection that is gone takes nothing."""
        if not self._transport.is_closing():
            self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))

    def backlog_bytes(self) -> int:
        """Bytes the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    async def sent(self) -> None:
        """Return once everything taken has left this process; the caller sets the deadline."""
        await until(lambda: not self.backlog_bytes() or self._transport.is_closing(), within_s=float("inf"))

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._transport.abort()


class QueuedSink:
    """Delivers frames by awaiting, in order, in a task of its own: where the transport is not to be had."""

    def __init__(self, deliver: Callable[[list[bytes]], Awaitable[None]]) -> None:
        self._deliver = deliver
        self._waiting: list[bytes] = []
        self._backlog_bytes = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def write(self, frames: list[bytes]) -> None:
        """Take *frames* at once."""
        self._waiting += frames
        self._backlog_bytes += sum(map(len, frames))
        if self._idle.is_set():
            self._idle.clear()
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                frames, self._waiting = self._waiting, []
                await self._deliver(frames)
                self._backlog_bytes -= sum(map(len, frames))
        finally:
            self._idle.set()

    def backlog_bytes(self) -> int:
        """Bytes not yet accepted by the server."""
        return self._backlog_bytes

    async def sent(self) -> None:
        """Return once everything taken has been accepted by the server."""
        await self._idle.wait()

    def abort(self) -> None:
        """Stop sending; the server drops the connection when the application ends."""
        if self._task is not None:
            self._task.cancel()
        self._waiting.clear()
        self._backlog_bytes = 0


def by_asgi(send: Send) -> Callable[[list[bytes]], Awaitable[None]]:
    """Deliver through ASGI alone: text frames one by one; pings and pongs are then the server's own affair."""

    async def deliver(frames: list[bytes]) -> None:
        for frame in frames:
            if is_text(frame):
                await send({"type": "websocket.send", "bytes": None, "text": payload_of(frame).decode()})

    return deliver
