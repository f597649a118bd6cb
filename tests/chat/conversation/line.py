"""A WebSocket connection that breaks, without a word, after a given number of bytes in either direction."""

from dataclasses import dataclass
from typing import Any, ClassVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.chat.server import ANSWER_S, Account, Server


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a connection breaks: after so many bytes heard, or so many said."""

    heard: int | None = None
    said: int | None = None


class BrittleConnection(ClientConnection):
    """Passes bytes on until the cut."""

    cut: ClassVar[Cut]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.left = {"heard": self.cut.heard, "said": self.cut.said}

    def _spend(self, way: str, data: bytes) -> tuple[bytes, bool]:
        left = self.left[way]
        if left is None:
            return data, False
        self.left[way] = max(0, left - len(data))
        return data[:left], len(data) >= left

    def data_received(self, data: bytes) -> None:
        """Called by the transport."""
        passed, breaks = self._spend("heard", data)
        super().data_received(passed)
        if breaks:
            self.transport.abort()

    def send_data(self) -> None:
        """Called by the connection whenever it has bytes to send."""
        for data in self.protocol.data_to_send():
            passed, breaks = self._spend("said", data)
            if passed:
                self.transport.write(passed)
            if breaks or not data:
                self.transport.abort()


async def open_line(by: Account, server: Server, *, cut: Cut) -> ClientConnection:
    """A connection of *by* to *server*, its hello unread; raises what `connect` does, sooner for an early cut."""
    return await connect(
        server.url.replace("http", "ws", 1) + "/chat",
        additional_headers=by.headers,
        subprotocols=[Subprotocol("chat.v1")],
        proxy=None,
        max_size=2**22,
        open_timeout=ANSWER_S,
        close_timeout=2,
        ping_interval=None,
        create_connection=type("CutConnection", (BrittleConnection,), {"cut": cut}),
    )
