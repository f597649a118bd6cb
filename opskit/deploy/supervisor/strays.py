"""Processes of a target that no keeper can be asked to end any more: found by where they run, and ended."""

import os
import select
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from opskit.deploy.supervisor import process

STOP_S = 60.0  # for a keeper that nothing can reach to drain its service and quit
DRAIN_S = 10.0  # for a service that nobody supervises
_QUIT_S = 5.0
_HOLDERS = (b"opskit-keeper", b"opskit-supervisor")


def of(state_dir: Path) -> list[int]:
    """Every process of the target in *state_dir*: keeper, supervisor and service."""
    return [*_holders(state_dir), *process.marked(process.instance_mark(state_dir.resolve(), ""))]


def end(state_dir: Path) -> int:
    """End them all, gently first: a keeper drains its service. Returns how many there were."""
    found = len(of(state_dir))
    _end(_holders(state_dir), (signal.SIGTERM, STOP_S), (signal.SIGTERM, _QUIT_S), (signal.SIGKILL, _QUIT_S))
    mark = process.instance_mark(state_dir.resolve(), "")
    _end(process.marked(mark), (signal.SIGTERM, DRAIN_S), (signal.SIGKILL, _QUIT_S))
    kill_services(state_dir)
    return found


def kill_services(state_dir: Path) -> None:
    """Kill what is left of a service whose keeper and supervisor are gone."""
    deadline = time.monotonic() + 5
    mark = process.instance_mark(state_dir.resolve(), "")
    while process.end_strays(mark, every_instance=True) and time.monotonic() < deadline:
        time.sleep(0.01)


def _holders(state_dir: Path) -> list[int]:
    """Keepers, then supervisors, that run from a copy in *state_dir*, even if it was removed since."""
    home, found = f"{state_dir.resolve()}/opskit/", []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if str((entry / "cwd").readlink()).startswith(home):
                found += [(word, int(entry.name)) for word in _HOLDERS if word in words]
        except OSError:  # gone, or another user's
            continue
    return [pid for _, pid in sorted(found)]


def _end(pids: Iterable[int], *ladder: tuple[signal.Signals, float]) -> None:
    """Send each signal to those that are left, and wait for them."""
    alive = {}
    for pid in pids:
        try:
            alive[os.pidfd_open(pid)] = pid
        except ProcessLookupError:
            continue
    for number, wait_s in ladder:
        deadline = time.monotonic() + wait_s
        for fd in alive:
            process.signal_to(fd, number)
        while alive and (left_s := deadline - time.monotonic()) > 0:
            for fd in select.select([*alive], [], [], left_s)[0]:
                os.close(fd)
                del alive[fd]
    for fd in alive:
        os.close(fd)
