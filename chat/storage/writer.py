"""The one writer of a process: a queue drained into one transaction at a time (group commit)."""

import asyncio
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog

from chat.protocol.errors import Unavailable
from chat.protocol.log import Committed
from chat.storage.connection import Connection, DatabaseUnavailable
from chat.storage.schema import url_of
from chat.storage.transaction import Kind, Transaction, single
from chat.storage.turns import Turns

A = TypeVar("A")
R = TypeVar("R")

QUEUE_SIZE = 20_000
BATCH_SIZE = 1_000
GATHERING_TURNS = 4  # of the event loop; with more, those who wait for one answer before the next message wait longer
DOORBELL_S = 0.02  # SQLite tells of other processes' commits only when asked
SURE_S = 0.25  # a look at the WAL file is a thousandth of the price, and may miss one of two commits in one clock tick

PROBE_DEADLINE_S = 3.0

log = structlog.get_logger()


@single
async def _probe(tx: Transaction, _: None) -> None:
    """Write something that nobody reads; SQLite would skip a value that stays the same."""
    tx.later(
        "INSERT INTO meta (key, value) VALUES ('probed_ms', :now_ms) ON CONFLICT (key) DO UPDATE SET value = value + 1",
        {"now_ms": str(tx.now_ms)},
    )


@dataclass(slots=True, eq=False)
class _Op(Generic[A, R]):
    kind: Kind[A, R]
    ask: A
    told: Callable[[R | Exception], None]


class Writer:
    """Makes everything durable, in the order submitted.

    After each commit the operations are acknowledged and then `on_commit` is called, all in one go: no waiter runs in
    between. An operation is stored whole or not at all; cancelling its waiter does not take it back.
    """

    def __init__(
        self, path: Path, *, on_commit: Callable[[Committed], None], now: Callable[[], float] = time.time
    ) -> None:
        self._connection, self._turns = Connection(url_of(path)), Turns(path)
        self._wal = path.with_name(f"{path.name}-wal")
        self._on_commit, self._now = on_commit, now
        self._queue: deque[_Op[Any, Any]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._broken = False
        self._tasks: list[asyncio.Task[None]] = []
        self._rings: list[Callable[[], None]] = []
        self._data_version: int | None = None
        self.on_batch: Callable[[int, float], None] = lambda _size, _seconds: None  # for metrics

    async def open(self) -> None:
        """Open the connection and start; raises `DatabaseUnavailable`, `OSError`."""
        self._turns.open()
        await self._connection.open()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._listen())]

    async def close(self) -> None:
        """Finish what is queued, then close. Later submissions are `Unavailable`."""
        self._closing = True
        self._wake.set()
        if self._tasks:
            writing, listening = self._tasks
            await asyncio.wait([writing])  # how it ended is told elsewhere; the connection is closed however it was
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
        await self._connection.close()
        self._turns.close()

    async def works(self) -> bool:
        """Whether a transaction could be committed now, found out by writing one if the last one failed."""
        if not self._broken:
            return True
        try:
            async with asyncio.timeout(PROBE_DEADLINE_S):
                await self.submit(_probe, None)
        except (Unavailable, TimeoutError):
            return False
        return True

    def on_ring(self, callback: Callable[[], None]) -> None:
        """Call *callback* whenever another process has committed something."""
        self._rings.append(callback)

    def post(self, kind: Kind[A, R], ask: A, *, told: Callable[[R | Exception], None]) -> None:
        """Queue one operation; *told* gets its result, its `Fault`, `Unavailable`, or what a bug raised.

        It is called once, right after the commit and before `on_commit`, in the order queued. Raises `Unavailable` at
        once when the queue is full.
        """
        if self._closing or len(self._queue) >= QUEUE_SIZE:
            raise Unavailable("too much is waiting to be written", retry_after_ms=1000)
        self._queue.append(_Op(kind, ask, told))
        self._wake.set()

    def submit(self, kind: Kind[A, R], ask: A, *, acknowledge: Callable[[R], None] | None = None) -> asyncio.Future[R]:
        """As `post`, for one who waits; *acknowledge* gets the result before any waiter."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        def told(outcome: R | Exception) -> None:
            if isinstance(outcome, Exception):
                if not done.done():
                    done.set_exception(outcome)
                    done.exception()  # whoever does not wait need not fetch it
                return
            if acknowledge is not None:
                _call(acknowledge, outcome)
            if not done.done():
                done.set_result(outcome)

        self.post(kind, ask, told=told)
        return done

    async def _run(self) -> None:
        try:
            while self._queue or not self._closing:
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._gather()
                size = min(len(self._queue), BATCH_SIZE)
                await self._write([self._queue.popleft() for _ in range(size)])
        finally:
            self._closing = True  # whatever ended this, an exit of the process too: nobody waits for what nobody writes
            while self._queue:
                _call(self._queue.popleft().told, Unavailable("the writer has ended"))

    async def _gather(self) -> None:
        """Have whoever is ready in this turn of the loop share the commit, and in the next, while they bring more."""
        for _ in range(GATHERING_TURNS):
            before = len(self._queue)
            await asyncio.sleep(0)
            if len(self._queue) == before:
                return

    async def _write(self, batch: list[_Op[Any, Any]]) -> None:
        started = time.perf_counter()
        try:
            async with self._turns:
                tx, outcomes = await self._commit(batch)
        except (sqlite3.Error, DatabaseUnavailable) as fault:
            if isinstance(fault, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                await self._write_alone(batch, fault)
                return
            self._broken = True
            log.warning("writer.unavailable", cause=str(fault), operations=len(batch))
            for op in batch:
                _call(op.told, DatabaseUnavailable(fault))
        except Exception as fault:  # noqa: BLE001 - boundary: a bug in one operation must not stop the writer
            await self._write_alone(batch, fault)
        else:
            for op, outcome in zip(batch, outcomes, strict=True):
                _call(op.told, outcome)
            _call(self._on_commit, tx.committed)
            self.on_batch(len(batch), time.perf_counter() - started)

    async def _write_alone(self, batch: list[_Op[Any, Any]], fault: Exception) -> None:
        """Something in *batch* has a bug: give each operation a transaction of its own, so that only that one fails."""
        if len(batch) == 1:
            log.error("writer.bug", kind=batch[0].kind.name, exc_info=fault)
            _call(batch[0].told, fault)
            return
        for op in batch:
            await self._write([op])

    async def _commit(self, batch: Sequence[_Op[Any, Any]]) -> tuple[Transaction, list[Any]]:
        if self._broken:
            await self._reopen()
        tx = Transaction(self._connection, int(self._now() * 1000))
        outcomes: list[Any] = []
        try:
            tx.later("BEGIN IMMEDIATE")
            for kind, ops in _runs(batch):
                outcomes += await kind.apply(tx, [op.ask for op in ops])
            await tx.rows("COMMIT")
        except BaseException:
            tx.forget_waiting()
            with suppress(sqlite3.Error):  # nothing to roll back, or the connection is broken: it gets reopened
                await tx.rows("ROLLBACK")
            raise
        return tx, outcomes

    async def _reopen(self) -> None:
        await self._connection.close()
        await self._connection.open()
        self._broken, self._data_version = False, None

    async def _listen(self) -> None:
        """Ring when `PRAGMA data_version` moves: on this connection only others' commits move it."""
        seen, asked_s = None, 0.0
        while True:
            await asyncio.sleep(DOORBELL_S)
            stamp, now_s = _stamp(self._wal), time.monotonic()
            if stamp == seen and now_s - asked_s < SURE_S:
                continue
            seen, asked_s = stamp, now_s
            try:
                found = await self._connection.row("PRAGMA data_version")
            except sqlite3.Error:
                continue  # while the connection is broken there is nothing to hear
            version = found[0] if found else None
            if version != self._data_version:
                self._data_version = version
                for callback in self._rings:
                    callback()


def _stamp(wal: Path) -> tuple[int, int] | None:
    """What changes when somebody commits."""
    try:
        stat = os.stat(wal)  # noqa: PTH116 - 100 times a second, and Path.stat costs three times as much
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _runs(batch: Sequence[_Op[Any, Any]]) -> Iterator[tuple[Kind[Any, Any], list[_Op[Any, Any]]]]:
    """Neighbours of one kind, in the order submitted."""
    for _, run in groupby(batch, key=lambda op: id(op.kind)):
        ops = list(run)
        yield ops[0].kind, ops


def _call(callback: Callable[[R], None], value: R) -> None:
    try:
        callback(value)
    except Exception:
        log.exception("writer.listener_failed")
