"""HTTP requests at a steady rate, timed from when they were due: half on own connections, half on kept ones."""

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

PATIENCE_S = 15.0
TICK_S = 0.005
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was refused, cut off, answered badly, or not answered in time; times are monotonic seconds."""

    due_s: float
    ended_s: float
    why: str

    @property
    def refused(self) -> bool:
        """Nobody listened."""
        return self.why.startswith("ConnectionRefusedError")


@dataclass(slots=True)
class Steady:
    """GET *path* of *url* at *per_s* from a thread while the `with` block lasts; after it all have ended."""

    url: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    per_s: float = 200.0
    answered: int = 0
    failures: list[Failure] = field(default_factory=list)
    slowest_s: float = 0.0
    _kept: list[_Streams] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def done(self) -> int:
        """How many requests have ended, well or not."""
        return self.answered + len(self.failures)

    @property
    def refused(self) -> int:
        """How many found nobody listening."""
        return sum(failure.refused for failure in self.failures)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        self.until(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()

    def until(self, count: int, *, within_s: float = 120.0) -> None:
        """Wait until *count* requests have ended; raises `TimeoutError`."""
        give_up_at_s = time.monotonic() + within_s
        while self.done < count:
            if time.monotonic() > give_up_at_s:
                raise TimeoutError(f"{self.done} of {count} requests ended within {within_s:g} s")
            time.sleep(0.01)

    async def _run(self) -> None:
        began_s, sent = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while not self._over.is_set():
                due = int((time.monotonic() - began_s) * self.per_s)
                for number in range(sent, due):
                    group.create_task(self._one(number, began_s + number / self.per_s))
                sent = due
                await asyncio.sleep(TICK_S)
        for _, writer in self._kept:
            writer.close()

    async def _one(self, number: int, due_s: float) -> None:
        why = ""
        try:
            async with asyncio.timeout(PATIENCE_S):
                status = await self._ask(keep=number % 2 == 1)
            why = "" if status == 200 else f"answered {status}"
        except (OSError, LookupError, ValueError, EOFError) as fault:
            why = f"{type(fault).__name__}: {fault}"
        ended_s = time.monotonic()
        self.slowest_s = max(self.slowest_s, ended_s - due_s)
        if why:
            self.failures.append(Failure(due_s, ended_s, why))
        else:
            self.answered += 1

    async def _ask(self, *, keep: bool) -> int:
        streams, reusable = await self._connection(keep=keep), False
        try:
            status, reusable = await self._exchange(*streams, keep=keep)
        finally:
            if reusable:
                self._kept.append(streams)
            else:
                streams[1].close()
        return status

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keep: bool
    ) -> tuple[int, bool]:
        """Send the request and read the whole answer; its status, and whether the connection may be used again."""
        lines = [f"GET {self.path} HTTP/1.1", f"Host: {urlsplit(self.url).netloc}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [] if keep else ["Connection: close"]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        status, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        said = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
        await reader.readexactly(int(said["content-length"]))
        return int(status.split()[1]), keep and said.get("connection", "").lower() != "close"

    async def _connection(self, *, keep: bool) -> _Streams:
        while keep and self._kept:
            reader, writer = self._kept.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        parts = urlsplit(self.url)
        return await asyncio.open_connection(parts.hostname, parts.port)


def not_under_way(failures: list[Failure], *, at_s: list[float], slack_s: float = 0.05) -> list[Failure]:
    """The failures of requests that were not under way at any of *at_s*, the times of crashes."""
    return [
        failure
        for failure in failures
        if not any(failure.due_s - slack_s <= crash_s <= failure.ended_s + slack_s for crash_s in at_s)
    ]
