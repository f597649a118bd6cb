"""Files that survive a power cut: replaced whole, or appended to line by line, and flushed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes) -> None:
    """Replace *path* by *content*: a reader sees the old file or the new one, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    flush_directory(path.parent)


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Append one JSON line and flush it to the disk; a line cut off before it stays a line of its own."""
    new = not path.exists()
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
            file.write(b"\n")
        file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if new:
        flush_directory(path.parent)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of *path*, none if there is no such file; a line that was cut off in writing is left out."""
    try:
        raw = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    lines = []
    for text in raw:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines


def flush_directory(directory: Path) -> None:
    """Make a rename or a new name in *directory* durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
