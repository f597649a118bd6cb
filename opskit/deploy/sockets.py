"""Listening sockets: where to bind, who already does, and Unix sockets in directories with long names."""

import contextlib
import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

BACKLOG = 4096  # connections that may wait while no service accepts; Linux caps it at net.core.somaxconn
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}  # accept(2): another try at once fails too
REST_S = 0.2  # before that other try
UNIX_PATH_MAX = 107  # bytes of sun_path, without its closing NUL (unix(7))


def parse_bind(bind: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:8000", "[::1]:8000" or ":8000" (all interfaces); raises ValueError."""
    host, colon, port = bind.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"bind: {bind!r} must be HOST:PORT, as in 127.0.0.1:8000")
    return host or "0.0.0.0", int(port)  # noqa: S104 - ":8000" asks for exactly that


def listen(bind: str) -> socket.socket:
    """A TCP socket listening on *bind*; raises OSError (EADDRINUSE, EACCES, …) or ValueError."""
    host, port = parse_bind(bind)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL on which this machine reaches *listener*."""
    host, port = listener.getsockname()[:2]
    return _url(host, port)


def url_of_bind(bind: str) -> str:
    """The URL on which this machine reaches what listens on *bind*; raises ValueError."""
    return _url(*parse_bind(bind))


def _url(host: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def holder_of(bind: str) -> int | None:
    """The process that listens on the port of *bind*; None if there is none or it is another user's."""
    port = f"{parse_bind(bind)[1]:04X}"
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            rows = [line.split() for line in Path(table).read_text(encoding="ascii").splitlines()[1:]]
            sockets |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and row[1].endswith(":" + port)}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):  # gone by now, or not ours to look into
                for fd in (process / "fd").iterdir():
                    if str(fd.readlink()) in sockets:
                        return int(process.name)
    return None


@contextlib.contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """An address for *path* to bind or connect to, short enough for sun_path however long *path* is."""
    if len(os.fsencode(path)) <= UNIX_PATH_MAX:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def bind_unix(path: Path, kind: socket.SocketKind) -> socket.socket:
    """A Unix socket bound at *path*, mode 0600, replacing what an earlier run left there."""
    bound = socket.socket(socket.AF_UNIX, kind)
    path.unlink(missing_ok=True)
    with unix_address(path) as address:
        before = os.umask(0o177)
        try:
            bound.bind(address)
        finally:
            os.umask(before)
    if kind is socket.SOCK_STREAM:
        bound.listen(128)
    return bound


def notify_path(state_dir: Path) -> Path:
    """Where a service can reach its NOTIFY_SOCKET: in *state_dir*, or in a short directory if that is too long."""
    path = state_dir / "notify.sock"
    if len(os.fsencode(path)) <= UNIX_PATH_MAX:
        return path
    return Path(tempfile.mkdtemp(prefix="opskit-")) / "notify.sock"


def is_taken(fault: OSError) -> bool:
    """True if a bind failed because another socket has the address."""
    return fault.errno == errno.EADDRINUSE
