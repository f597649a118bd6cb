"""The supervisor's memory: one value, written whole before anything that depends on it is done.

It is kept three times: in memory the keeper holds (survives `kill -9` and a full disk), in `state.json` and in the
version before it (survive the machine). Each carries its checksum and number; the newest whole one is taken.
"""

import contextlib
import errno
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from opskit.deploy.control import Bake, ChildState, LaunchSpec
from opskit.deploy.wire import Malformed, decode, encode

FILE = "state.json"
PREVIOUS = "state.json.previous"


@dataclass(slots=True, kw_only=True)
class Slot:
    """A release in one of the roles, and the process that runs it, if one does."""

    spec: LaunchSpec
    instance: int = 0  # the number of its process; names the descriptors in the keeper
    pid: int = 0
    state: ChildState = ChildState.STARTING
    private_port: int = 0
    started_at: str = ""
    exits: int = 0
    exits_at: list[float] = field(default_factory=list)  # monotonic, the newest 10
    early: int = 0  # exits in a row before ready
    retry_at: float = 0  # monotonic
    leaving_at: float = 0  # monotonic; when its stop ladder began
    last_exit: str = ""
    last_code: int | None = None
    bad: str = ""


@dataclass(slots=True, kw_only=True)
class Operation:
    """A swap under way: what, asked by which request, and whether the roles have changed yet."""

    do: str
    request: str
    swapped: bool = False
    why: str = ""


@dataclass(slots=True, kw_only=True)
class BakeOrder:
    """What a bake watches, and until when (monotonic)."""

    until: float
    health_every_s: float
    smoke_command: str
    smoke_every_s: float
    exits_before: int = 0


@dataclass(slots=True, kw_only=True)
class State:
    """All of it."""

    number: int = 0
    boot: str = ""  # monotonic times and process ids hold within one boot only
    up: bool = False
    maintenance: bool = False
    next_instance: int = 1
    running: Slot | None = None
    candidate: Slot | None = None
    parked: Slot | None = None
    leaving: list[Slot] = field(default_factory=list)
    last: LaunchSpec | None = None  # what `start` starts
    last_before: LaunchSpec | None = None  # what it was before the newest cut-over
    operation: Operation | None = None
    bake: Bake | None = None
    order: BakeOrder | None = None
    done: list[str] = field(default_factory=list)  # ids of the newest completed requests
    asked: str = ""  # the request that made the candidate

    def slots(self) -> list[Slot]:
        """Every slot that may have a process."""
        return [slot for slot in (self.running, self.candidate, self.parked, *self.leaving) if slot]


def pack(state: State) -> bytes:
    """The checksum, a line break, and the state as JSON."""
    body = json.dumps(encode(state)).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unpack(data: bytes) -> State | None:
    """The state, or None if it is torn or of an unknown shape."""
    digest, _, body = data.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        return None
    try:
        return decode(State, json.loads(body))
    except Malformed:
        return None


def is_damaged(state_dir: Path) -> bool:
    """True if there is a state on disk, and no copy of it is whole."""
    there = [path.read_bytes() for name in (FILE, PREVIOUS) if (path := state_dir / name).is_file()]
    return bool(there) and not any(map(unpack, there))


def boot_id() -> str:
    """Names this boot of the machine, random(4)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


class Store:
    """Reads and writes the copies of the state."""

    def __init__(self, state_dir: Path, memory: int) -> None:
        self.state_dir, self.memory = state_dir, memory
        self.fault = ""  # why the disk does not have the newest state, "" = it has

    def load(self) -> tuple[State, list[str]]:
        """The newest whole state (a new one if there is none), and which copies were damaged."""
        found: list[State] = []
        damaged: list[str] = []
        for name, data in self._copies():
            state = unpack(data)
            if state:
                found.append(state)
            else:
                damaged.append(name)
        return max(found, key=lambda state: state.number, default=State()), damaged

    def _copies(self) -> list[tuple[str, bytes]]:
        copies = []
        size = os.fstat(self.memory).st_size
        if size:
            copies.append(("memory", os.pread(self.memory, size, 0)))
        for name in (FILE, PREVIOUS):
            with contextlib.suppress(OSError):
                copies.append((name, (self.state_dir / name).read_bytes()))
        return copies

    def save(self, state: State) -> None:
        """Write *state* everywhere; a disk that refuses it is noted in `fault`, not raised."""
        state.number += 1
        data = pack(state)
        os.pwrite(self.memory, data, 0)
        os.ftruncate(self.memory, len(data))
        try:
            self._save_to_disk(data)
            self.fault = ""
        except OSError as fault:
            self.fault = f"the state cannot be written: {fault}"

    def _save_to_disk(self, data: bytes) -> None:
        path, fresh = self.state_dir / FILE, self.state_dir / (FILE + ".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            if os.write(fd, data) < len(data):  # the disk took a part, and will refuse the rest
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
        finally:
            os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            path.replace(self.state_dir / PREVIOUS)
        fresh.replace(path)
        directory = os.open(self.state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
