"""Peer: `websockets.broadcast`. Sends each message to every connection; stores and checks nothing."""

import asyncio

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def main() -> None:
    """Serve until killed; prints the port."""
    connections: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            async for message in connection:
                broadcast(connections, message)
        finally:
            connections.discard(connection)

    async with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main())
