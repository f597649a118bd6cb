"""The lock of a target: one operation at a time, its holder named, freed when the holder is provably gone."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path

from opskit.deploy.processes import Identity, identity
from opskit.errors import Refused


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, and for what."""

    operation: str
    user: str
    host: str
    since: str
    process: Identity

    def __str__(self) -> str:
        return f"{self.operation} by {self.user}@{self.host}, pid {self.process.pid}, since {self.since}"

    @property
    def gone(self) -> bool:
        """True if it is proven that the holder no longer runs; a holder on another host never is."""
        return self.host == socket.gethostname() and self.process.gone


class Locked(Refused):
    """Another operation holds the target."""

    def __init__(self, target: str, holder: Holder) -> None:
        super().__init__(
            f"target {target} is locked: {holder}",
            remedy=f"wait until it is done; `opskit status` shows it, `kill {holder.process.pid}` ends it",
        )
        self.holder = holder


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock at *path*; None if nobody does, or what is written there is no holder."""
    try:
        tree = json.loads(path.read_bytes())
        return Holder(**{**tree, "process": Identity(**tree["process"])})
    except PermissionError:
        raise
    except (OSError, ValueError, TypeError, KeyError):
        return None


def refuse_if_held(path: Path, *, target: str) -> None:
    """Raise `Locked` while somebody holds the lock; a moment later it may be otherwise (see `held`)."""
    holder = holder_of(path)
    if holder is not None and not holder.gone:
        raise Locked(target, holder)


@contextmanager
def held(path: Path, *, target: str, operation: str) -> Iterator[None]:
    """Hold the lock at *path* while the block runs; raises `Locked` naming who has it."""
    mine = Holder(operation, _user(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"), identity())
    with _guarded(path):
        refuse_if_held(path, target=target)
        _write(path, mine)
    try:
        yield
    finally:
        with _guarded(path):
            if holder_of(path) == mine:
                path.unlink()


def free(path: Path, *, force: bool = False) -> Holder | None:
    """Take the lock from a holder that is gone (with *force*: from anyone) and return who had it.

    Raises `Refused` while the holder lives, or cannot be proven gone.
    """
    with _guarded(path):
        holder = holder_of(path)
        if holder is not None and not holder.gone and not force:
            raise Refused(
                f"the lock is held by {holder}, which still runs or runs on another host",
                remedy="wait for it, end it, or if you are sure: opskit unlock --force",
            )
        path.unlink(missing_ok=True)
        return holder


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    """Reading and changing the lock file is one act, held for microseconds."""
    guard = os.open(path.with_suffix(".guard"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield
    finally:
        os.close(guard)


def _write(path: Path, holder: Holder) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(holder)), encoding="utf-8")
    draft.rename(path)


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a uid without a name
        return str(os.getuid())
