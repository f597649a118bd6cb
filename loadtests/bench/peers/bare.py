"""Peer: the least a server in Python can do. Each message is written to every transport as it came, unparsed."""

import asyncio
from base64 import b64encode
from hashlib import sha1
from typing import cast

import uvloop

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class Peer(asyncio.Protocol):
    """One connection: upgraded by its first bytes, heard by all others from then on."""

    everyone: set[asyncio.WriteTransport] = set()  # noqa: RUF012 - shared on purpose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it in."""
        self.transport = cast("asyncio.WriteTransport", transport)
        self.upgraded, self.waiting = False, b""

    def connection_lost(self, _: Exception | None) -> None:
        """Count it out."""
        self.everyone.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        """Upgrade, or send every whole frame on; frames are of 126 bytes or more, masked with zeros."""
        if not self.upgraded:
            key = data.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
            accept = b64encode(sha1(key + MAGIC).digest())  # noqa: S324 - asked for by the RFC
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            self.transport.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
            self.upgraded = True
            self.everyone.add(self.transport)
            return
        self.waiting += data
        while len(self.waiting) >= 8:
            if self.waiting[1] == 0x80:  # an empty pong
                self.waiting = self.waiting[6:]
                continue
            end = 8 + int.from_bytes(self.waiting[2:4], "big")
            if len(self.waiting) < end:
                return
            frame, self.waiting = b"\x81\x7e" + self.waiting[2:4] + self.waiting[8:end], self.waiting[end:]
            for transport in self.everyone:
                transport.write(frame)


async def main() -> None:
    """Serve until killed; prints the port."""
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main())
