"""What Hypercorn does at every exchange of HTTP/1.1, for less: a timer for an idle connection."""

import asyncio
from collections.abc import Callable
from typing import Any

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import AsyncioSingleTask
from hypercorn.typing import TaskGroup


class IdleTimer(AsyncioSingleTask):
    """Closes a connection on which nothing was asked for too long; Hypercorn starts and cancels a task at each request."""

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
