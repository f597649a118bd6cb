"""What waits to leave on one connection, bounded in bytes, and the tick in which all that waits leaves at once."""

from collections.abc import Callable
from typing import Protocol

SOFT_BYTES = 256 * 1024  # beyond this backlog ephemeral frames are dropped
HARD_BYTES = 1024 * 1024  # beyond this the connection is given up as a slow consumer
CONNECTIONS_PER_SLICE = 500  # one slice of a tick; the loop serves others between slices


class Sink(Protocol):
    """Where whole frames go; takes everything at once and says how much the peer has not taken yet."""

    def write(self, frames: list[bytes]) -> None:
        """Take *frames* without waiting. The list is the sink's from now on."""

    def backlog_bytes(self) -> int:
        """Bytes taken that have not left this process."""


class Outbox:
    """Frames for one connection. Appending marks it for the tick; nothing here waits."""

    __slots__ = ("_on_overflow", "_sink", "_tick", "closed", "frames")

    def __init__(self, sink: Sink, tick: "Tick", *, on_overflow: Callable[[], None]) -> None:
        self._sink, self._tick, self._on_overflow = sink, tick, on_overflow
        self.frames: list[bytes] = []
        self.closed = False

    def send(self, frame: bytes) -> None:
        """Queue a frame that must arrive."""
        if self.closed:
            return
        if not self.frames:
            self._tick.mark(self)
        self.frames.append(frame)

    def hint(self, frame: bytes) -> bool:
        """Queue an ephemeral frame unless the peer is behind; tells whether it was queued."""
        if self.closed or self._sink.backlog_bytes() > SOFT_BYTES:
            return False
        self.send(frame)
        return True

    def flush(self) -> int:
        """Hand over what waits; returns how many frames."""
        frames, self.frames = self.frames, []
        if self.closed or not frames:
            return 0
        self._sink.write(frames)
        if self._sink.backlog_bytes() > HARD_BYTES:
            self._on_overflow()
        return len(frames)

    def close(self, last: bytes | None = None) -> None:
        """Hand over what waits and *last*, then take nothing more."""
        if self.closed:
            return
        if last is not None:
            self.frames.append(last)
        frames, self.frames, self.closed = self.frames, [], True
        if frames:
            self._sink.write(frames)

    def backlog_bytes(self) -> int:
        """Bytes handed over that the peer has not taken."""
        return self._sink.backlog_bytes()


class Tick:
    """Collects outboxes with waiting frames and flushes them once the loop has run what is ready."""

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], object], *, on_flushed: Callable[[int], None] | None = None
    ) -> None:
        self._call_soon, self._on_flushed = call_soon, on_flushed
        self._dirty: list[Outbox] = []
        self._scheduled = False

    def mark(self, outbox: Outbox) -> None:
        """*outbox* has frames; flush it in the coming tick."""
        self._dirty.append(outbox)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._flush)

    def join(self, outboxes: list[Outbox]) -> None:
        """As `mark` for many that were found empty and got a frame by hand."""
        self._dirty += outboxes
        if self._dirty and not self._scheduled:
            self._scheduled = True
            self._call_soon(self._flush)

    def _flush(self) -> None:
        batch, self._dirty = self._dirty[:CONNECTIONS_PER_SLICE], self._dirty[CONNECTIONS_PER_SLICE:]
        flushed = 0
        for outbox in batch:
            flushed += outbox.flush()
        self._scheduled = bool(self._dirty)
        if self._scheduled:
            self._call_soon(self._flush)
        if self._on_flushed is not None:
            self._on_flushed(flushed)
