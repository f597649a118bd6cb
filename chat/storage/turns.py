"""Fair turns at writing for processes that share the file; SQLite alone lets a busy one starve the others."""

import asyncio
import fcntl
import time
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType

POLL_S = 0.001
PATIENCE_S = 2.0  # then without a turn: SQLite still keeps writers apart, only less fairly


class Turns:
    """Whoever wants to write stands in the queue, one at a time, until the one who writes is done.

    Who has just written has to queue again, so two busy processes take turns. Both locks go with their process.
    """

    def __init__(self, path: Path) -> None:
        self._paths = [path.with_name(f"{path.name}.{name}-lock") for name in ("queue", "turn")]
        self._files: list[TextIOWrapper] = []

    def open(self) -> None:
        """Open the files of the locks. Raises `OSError`."""
        self._files = [path.open("a") for path in self._paths]

    def close(self) -> None:
        """Let go of everything."""
        for file in self._files:
            file.close()
        self._files = []

    async def __aenter__(self) -> None:
        queue, turn = self._files
        await _take(queue)
        await _take(turn)
        fcntl.flock(queue, fcntl.LOCK_UN)

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            fcntl.flock(file, fcntl.LOCK_UN)


async def _take(file: TextIOWrapper) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(POLL_S)
        else:
            return
