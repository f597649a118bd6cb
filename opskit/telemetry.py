"""Telemetry: what was observed on this host (crashes, smoke and watch results, steps), as flushed, rotated JSON Lines.

Several processes write it: each record is one append under a lock, so that lines stay whole and rotation loses none.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "telemetry.jsonl"
LIMIT_BYTES = 4_000_000
KEPT_FILES = 3  # older ones, as telemetry.jsonl.1 (the newest) to .3


def record(state_dir: Path, event: str, **fields: Any) -> dict[str, Any]:
    """Append *event* with the wall-clock time, flushed to the disk, and return it; raises OSError (disk full)."""
    entry = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields}
    line = (json.dumps(entry, ensure_ascii=False, default=str) + "\n").encode("utf-8", "backslashreplace")
    path = state_dir / FILE
    lock = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rotate(path, room_for_bytes=len(line), limit_bytes=LIMIT_BYTES, kept=KEPT_FILES)
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(fd).st_size
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"  # it is lost; it shall not take this one along
            _write_all(fd, b"\n" + line if torn else line)
            os.fsync(fd)
        finally:
            os.close(fd)
    finally:
        os.close(lock)
    return entry


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def read(state_dir: Path) -> Iterator[dict[str, Any]]:
    """Every record still kept, oldest first; a line torn by a full disk is left out."""
    for path in (*(numbered(state_dir / FILE, n) for n in range(KEPT_FILES, 0, -1)), state_dir / FILE):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry


def numbered(path: Path, number: int) -> Path:
    """The name of the *number*-th older file of *path*: `service.log.1`."""
    return path.with_name(f"{path.name}.{number}")


def rotate(path: Path, *, room_for_bytes: int, limit_bytes: int, kept: int) -> bool:
    """Rename *path* and its older files one up if *room_for_bytes* more would exceed *limit_bytes*."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return False
    if size == 0 or size + room_for_bytes <= limit_bytes:
        return False
    for number in range(kept, 1, -1):
        if (older := numbered(path, number - 1)).exists():
            older.replace(numbered(path, number))
    path.replace(numbered(path, 1))
    return True
