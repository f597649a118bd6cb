"""Who a process is, beyond its recycled number: pid, start time and boot."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """A process of this machine; two processes never have the same one."""

    pid: int
    started_ticks: int
    boot_id: str

    @property
    def gone(self) -> bool:
        """True if that very process is provably no more: another boot, no such pid, or the pid is someone else's."""
        return self.boot_id != boot_id() or started_ticks(self.pid) != self.started_ticks


def identity(pid: int | None = None) -> Identity:
    """The identity of *pid* (this process by default); raises `ProcessLookupError` if there is none."""
    pid = os.getpid() if pid is None else pid
    ticks = started_ticks(pid)
    if ticks is None:
        raise ProcessLookupError(pid)
    return Identity(pid, ticks, boot_id())


def started_ticks(pid: int) -> int | None:
    """When *pid* started, in clock ticks since boot (proc(5), field 22), or None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    after_name = stat.rpartition(")")[2].split()
    return None if after_name[0] in "ZX" else int(after_name[19])


def boot_id() -> str:
    """The kernel's random id of this boot (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
