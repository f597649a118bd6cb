"""The service's log: every child's output, read from its pipe and appended to `logs/service.log`, rotated by size.

A child writes into a pipe whose read end the keeper holds too: nothing is lost and nobody gets SIGPIPE while the
supervisor restarts (the pipe takes 1 MiB meanwhile), and as the supervisor alone has the file open, rotation is a
plain rename. A full disk costs log lines, which are counted, and never the service.
"""

import contextlib
import fcntl
import os
from collections import deque
from pathlib import Path

from opskit.telemetry import rotate

FILE = "service.log"
LIMIT_BYTES = 10_000_000
KEPT_FILES = 5
_PIPE_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16
_LINE_LIMIT_BYTES = 1 << 16  # a longer line is written in pieces


def pipe() -> tuple[int, int]:
    """A pipe for a child's output: (read end, not blocking; write end), as large as this user may have."""
    read, write = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(read, False)
    with contextlib.suppress(OSError):
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return read, write


class ServiceLog:
    """The file, shared by all children, in whole lines."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE
        self.lost_bytes = 0
        self._size = self.path.stat().st_size if self.path.exists() else 0
        self._fd: int | None = None

    def write(self, data: bytes) -> None:
        """Append *data*, into a fresh file if this one is full."""
        try:
            if self._size and self._size + len(data) > LIMIT_BYTES:
                self._close()
                rotate(self.path, room_for_bytes=len(data), limit_bytes=LIMIT_BYTES, kept=KEPT_FILES)
            if self._fd is None:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                self._size = os.fstat(self._fd).st_size
            written = os.write(self._fd, data)
            self._size += written
            self.lost_bytes += len(data) - written  # a disk that takes a part has no room for the rest
        except OSError:
            self.lost_bytes += len(data)
            self._close()
            return
        if written < len(data):
            return
        if self.lost_bytes:
            lost, self.lost_bytes = self.lost_bytes, 0
            self.write(f"opskit: {lost} bytes of log could not be written before this line\n".encode())

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class Output:
    """One child's pipe: whole lines go to the log, the newest are kept for a failure's report."""

    def __init__(self, fd: int, log: ServiceLog) -> None:
        self.fd, self.log = fd, log
        self.tail: deque[str] = deque(maxlen=40)
        self._rest = b""

    def pump(self) -> bool:
        """Take what there is; False at the end (every writer has closed)."""
        data = self._read()
        self._accept(data or b"", last=data == b"")
        return data != b""

    def drain(self) -> None:
        """Take all that is in the pipe now and close it."""
        for _ in range(_PIPE_BYTES // _CHUNK_BYTES + 1):
            if not (data := self._read()):
                break
            self._accept(data)
        self._accept(b"", last=True)
        os.close(self.fd)

    def _read(self) -> bytes | None:
        try:
            return os.read(self.fd, _CHUNK_BYTES)
        except BlockingIOError:
            return None

    def _accept(self, data: bytes, *, last: bool = False) -> None:
        complete, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if self._rest and (last or len(self._rest) > _LINE_LIMIT_BYTES):
            complete, newline, self._rest = complete + newline + self._rest, b"\n", b""
        if newline:
            self.log.write(complete + newline)
            self.tail.extend(complete.decode("utf-8", "replace").splitlines())
