"""What is half-done: one operation at a time, its plan and the intent and outcome of every step, flushed to disk.

The journal lives in the directory that all work trees share, next to the lock that keeps a second opskit out. The lock
is inherited by a push, so that nobody decides about an operation while a killed opskit's push is still under way.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opskit.errors import Refused


@dataclass(frozen=True, slots=True)
class Record:
    """One line: a step, what of it (`intent`, `outcome` or `fact`), and its data."""

    step: str
    phase: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """What the journal knows of the operation under way."""

    records: tuple[Record, ...]

    def fact(self, step: str) -> Mapping[str, Any] | None:
        """The newest fact noted as *step*, None if there is none."""
        return next((r.data for r in reversed(self.records) if r.step == step and r.phase == "fact"), None)

    def facts(self, step: str) -> list[Mapping[str, Any]]:
        """Every fact noted as *step*, oldest first."""
        return [r.data for r in self.records if r.step == step and r.phase == "fact"]

    def done(self, step: str) -> bool:
        """True if the step's outcome is on record."""
        return any(r.step == step and r.phase == "outcome" for r in self.records)

    def begun(self, step: str) -> bool:
        """True if the step's intent is on record, whatever came of it."""
        return self.attempts(step) > 0

    def attempts(self, step: str) -> int:
        """How often the step was begun; more than once: an earlier try was cut off."""
        return sum(r.step == step and r.phase == "intent" for r in self.records)


class Journal:
    """The journal in *directory* (`.git/opskit`)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "operation.jsonl"
        self.lock_fd = -1

    @contextmanager
    def locked(self, *, wait_s: float = 10.0) -> Iterator[None]:
        """Keep every other opskit out of this repository; raises `Refused` if one does not finish within *wait_s*."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.lock_fd = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as fault:
            raise Refused(
                f"this repository cannot be written: {fault}", remedy="see who owns it: ls -ld .git"
            ) from fault
        try:
            self._take_lock(wait_s)
            yield
        finally:
            os.close(self.lock_fd)
            self.lock_fd = -1

    def _take_lock(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Refused(
                        "another opskit, or a push it started, is at work in this repository",
                        remedy="wait for it, then try again; opskit status shows what is under way",
                    ) from None
                time.sleep(0.02)

    def read(self) -> Operation | None:
        """The operation under way, None if there is none. A line cut off by a crash counts as not written."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return None
        records = []
        for line in lines[:-1]:
            try:
                found = json.loads(line)
                records.append(Record(found["step"], found["phase"], found["data"]))
            except (ValueError, LookupError, TypeError) as fault:
                raise Refused(
                    f"the journal {self.path} is damaged: {line[:60]!r}",
                    remedy="compare git log of main and develop here and on the remote, then remove that file",
                ) from fault
        return Operation(tuple(records)) if records else None

    def fact(self, step: str, **data: Any) -> None:
        """Note something decided (the call, the plan, a settled conflict)."""
        self._append(step, "fact", data)

    def intent(self, step: str, **data: Any) -> None:
        """Note that a step is about to be done."""
        self._append(step, "intent", data)

    def outcome(self, step: str, **data: Any) -> None:
        """Note that a step is done."""
        self._append(step, "outcome", data)

    def end(self) -> None:
        """The operation is over; its journal is kept as the last one."""
        self.path.replace(self.directory / "last.jsonl")
        self._flush_directory()

    def _append(self, step: str, phase: str, data: Mapping[str, Any]) -> None:
        line = json.dumps({"step": step, "phase": phase, "at_s": round(time.time(), 3), "data": data})
        fresh = not self.path.exists()
        with self.path.open("ab+") as file:
            if not fresh:
                _drop_torn_end(file.fileno())
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            self._flush_directory()

    def _flush_directory(self) -> None:
        handle = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _drop_torn_end(handle: int) -> None:
    """Cut off what a crash left of a line that never got its end."""
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        whole = os.pread(handle, size, 0)
        os.ftruncate(handle, whole.rfind(b"\n") + 1)
