"""What Hypercorn does at each exchange of HTTP/1.1, for less: one write an answer, a timer an idle connection."""

import asyncio
from collections.abc import Callable
from typing import Any

import h11
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import AsyncioSingleTask
from hypercorn.events import RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import H11SendableEvent, TaskGroup


class InOneWrite(H11Protocol):
    """Keeps an answer's head until its first bytes of body come, or its end: Hypercorn writes three times."""

    _head = b""

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        try:
            data = self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return  # as Hypercorn's: nothing is left to be said to a peer that broke the protocol
        if isinstance(event, h11.Response):
            self._head = data
        elif data := self._head + data:
            self._head = b""
            await self.send(RawData(data=data))


class IdleTimer(AsyncioSingleTask):
    """Closes a connection on which nothing is asked for too long; Hypercorn makes and cancels a task a request."""

    def __init__(self, server: TCPServer) -> None:
        super().__init__()
        self._server = server
        self._timer: asyncio.TimerHandle | None = None

    async def restart(self, task_group: TaskGroup, action: Callable[..., Any]) -> None:
        """Count from now."""
        await self.stop()
        server = self._server
        self._timer = server.loop.call_later(
            server.config.keep_alive_timeout, task_group.spawn, server._initiate_server_close
        )

    async def stop(self) -> None:
        """Count no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
