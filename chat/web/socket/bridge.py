"""Between Quart and our socket: the class Quart makes for each WebSocket, with a bounded inbox instead of its queue."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope
from quart import Quart
from quart.asgi import ASGIWebsocketConnection

from chat.web.hardening.capture import Sink, guard, hear, is_over, sink_for
from chat.web.hardening.inbound import NOT_TEXT, Inbox
from chat.web.hardening.outbound import Send
from chat.web.hardening.targets import routed

KEY = "chat.bridge"
_UNUSED: "asyncio.Queue[Any]" = asyncio.Queue()  # Quart makes one (2.2 KiB) for each connection; the inbox stands in


class Bridge(ASGIWebsocketConnection):
    """One WebSocket beneath Quart's dispatch; the view finds it in the scope under `KEY`.

    Where Quart would cancel the view when the peer goes, this tells the inbox, so that the view ends in order.
    """

    def __init__(self, app: Quart, scope: WebsocketScope) -> None:
        super().__init__(app, routed(scope))
        self.queue = _UNUSED
        cast("dict[str, Any]", self.scope)[KEY] = self
        self.inbox: Inbox | None = None
        self.gone = False
        self._send: Send | None = None

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Run the connection to its end."""
        self._send = cast("Send", send)
        receiver = asyncio.ensure_future(self._take(receive))
        try:
            await self.handle_websocket(self._create_websocket_from_scope(send), send)
        finally:
            receiver.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await receiver

    async def _take(self, receive: ASGIReceiveCallable) -> None:
        """Hand to the inbox what comes by ASGI: everything under another server, under Hypercorn only the end."""
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                self.gone = True
                if self.inbox is not None:
                    self.inbox.peer_closed()
                return
            if event["type"] == "websocket.receive" and self.inbox is not None:
                text = event.get("text")
                if text is None:
                    self.inbox.refuse(NOT_TEXT, "frames are text")
                else:
                    self.inbox.heard_s = time.monotonic()
                    self.inbox.put(text.encode("utf-8", "replace"))

    async def accept(self, inbox: Inbox, *, subprotocol: str | None, direct: bool) -> Sink | None:
        """Complete the upgrade: what arrives goes to *inbox*, what leaves to the sink returned; None: the peer left."""
        send = self._asgi_send
        self.inbox = inbox
        guard(send, inbox)
        self._accepted = True
        await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": []})
        if self.gone or is_over(send):
            return None
        return sink_for(send, direct=direct)

    async def hear(self, *, direct: bool) -> None:
        """Let the inbox, whose owner now listens, have what the peer was too eager to wait with, and all that comes."""
        await hear(self._asgi_send, direct=direct)

    async def close(self, code: int, reason: str) -> None:
        """Send the close frame; may wait for a peer that does not read."""
        if not self._closed:
            self._closed = True
            await self._asgi_send({"type": "websocket.close", "code": code, "reason": reason})

    @property
    def _asgi_send(self) -> Callable[[Any], Awaitable[None]]:
        if self._send is None:
            raise RuntimeError("the bridge is not running")
        return self._send
