"""The stand-in on the public socket in maintenance and crash loops: 503 with Retry-After to every request."""

import asyncio
import contextlib
import json
import socket

from opskit.deploy.sockets import EXHAUSTED, REST_S

_RETRY_AFTER_S = 30
_CLIENT_S = 5.0
_AT_ONCE = 256


def answer(detail: str) -> bytes:
    """The whole response, RFC 9110 and problem details, RFC 9457."""
    body = json.dumps({"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": detail}).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: {_RETRY_AFTER_S}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


class Holding:
    """Accepts on the public socket while told to."""

    def __init__(self, public: int) -> None:
        self.public = public
        self.detail = ""
        self._clients: set[asyncio.Task[None]] = set()

    def hold(self, detail: str) -> None:
        """Answer with *detail* from now on; "" = accept no more."""
        loop = asyncio.get_running_loop()
        if detail and not self.detail:
            loop.add_reader(self.public, self._accept)
        elif self.detail and not detail:
            loop.remove_reader(self.public)
        self.detail = detail

    def _accept(self) -> None:
        if len(self._clients) >= _AT_ONCE:
            asyncio.get_running_loop().remove_reader(self.public)  # the others wait in the queue
            return
        with socket.socket(fileno=socket.dup(self.public)) as listener:
            listener.setblocking(False)
            try:
                client, _address = listener.accept()
            except OSError as fault:
                if fault.errno in EXHAUSTED:
                    self._rest()
                return
        client.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._serve(client))
        self._clients.add(task)
        task.add_done_callback(self._served)

    def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.public)
        loop.call_later(REST_S, self._go_on)

    def _go_on(self) -> None:
        if self.detail:
            asyncio.get_running_loop().add_reader(self.public, self._accept)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._clients.discard(task)
        self._go_on()

    async def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            reader, writer = await asyncio.open_connection(sock=client)
            try:
                await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _CLIENT_S)
                writer.write(answer(self.detail))
                writer.write_eof()
                await asyncio.wait_for(reader.read(), 1)  # closing before the client has read would reset it
            finally:
                writer.close()
