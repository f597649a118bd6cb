"""An answer given before the whole request has arrived is not lost to a reset: the rest is read and thrown away."""

import asyncio
from contextlib import suppress
from typing import Any

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope
from quart import Quart
from quart.asgi import ASGIHTTPConnection

from chat.web.hardening.targets import routed

KEEP_BYTES = 128 * 1024  # of a body; beyond the size limit nobody looks at it
LINGER_S, LINGER_BYTES = 2.0, 8 * 1024 * 1024


class Intake:
    """Reads a request's parts as they come, whether or not the application asks for them."""

    def __init__(self, receive: ASGIReceiveCallable) -> None:
        self._from_server = receive
        self._parts: asyncio.Queue[Any] = asyncio.Queue()
        self._bytes = 0
        self.arrived = asyncio.Event()  # all of it, or as much as anyone will wait for

    async def run(self) -> None:
        """Read until the server says that the exchange is over."""
        while True:
            part: Any = await self._from_server()
            ended = part["type"] == "http.disconnect"
            self._bytes += len(part.get("body", b""))
            if ended or not part.get("more_body", False) or self._bytes > LINGER_BYTES:
                self.arrived.set()
            if ended or self._bytes <= KEEP_BYTES or not part.get("more_body", False):
                self._parts.put_nowait(part)
            if ended:
                return

    async def receive(self) -> Any:
        """The next part: ASGI's `receive` for the application."""
        return await self._parts.get()


def has_no_body(scope: HTTPScope) -> bool:
    """Whether the head says that nothing follows it (RFC 9112 section 6.3); HTTP/2 says that elsewhere."""
    return scope["http_version"].startswith("1") and not any(
        name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"]
    )


class PatientConnection(ASGIHTTPConnection):
    """Quart's connection, with an `Intake` before it and the end of a refusal held back until the request is in."""

    def __init__(self, app: Quart, scope: HTTPScope) -> None:
        super().__init__(app, routed(scope))

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve one exchange."""
        if has_no_body(self.scope):
            await self._answer(send)
        else:
            await self._take_in(receive, send)

    async def _answer(self, send: ASGISendCallable) -> None:
        """Answer what has arrived whole, in this very task; one whose peer leaves meanwhile is answered to nobody."""
        request = self._create_request_from_scope(send)
        request.body.set_complete()
        await self.handle_request(request, send)

    async def _take_in(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        intake = Intake(receive)
        reading = asyncio.ensure_future(intake.run())
        try:
            await super().__call__(intake.receive, _Patient(send, intake.arrived))
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading


class _Patient:
    """ASGI's `send`: an answer that comes too early closes the connection, and ends once the request has arrived."""

    def __init__(self, send: ASGISendCallable, arrived: asyncio.Event) -> None:
        self._send, self._arrived = send, arrived
        self._early = False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._early = not self._arrived.is_set()
            if self._early and message["status"] >= 400:
                kept = [(name, value) for name, value in message["headers"] if name.lower() != b"connection"]
                message = message | {"headers": [*kept, (b"connection", b"close")]}
        elif self._early and not message.get("more_body", False):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), LINGER_S)
        await self._send(message)
