"""Options of sockets: dead peers are noticed, one peer's unread bytes are bounded."""

import socket

USER_TIMEOUT_MS = 30_000
SEND_BUFFER_BYTES = 256 * 1024


def tune(connection: socket.socket) -> None:
    """Options of one accepted TCP connection (a no-op for Unix sockets)."""
    if connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
