"""Running a configured command (`build`, `smoke`, `migrate`, a hook): in a shell, logged, ended with all it started."""

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

GRACE_S = 5.0
TAIL_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended. `code` is negative for a signal, as in `subprocess`; `timed_out` if it was ended by us."""

    code: int
    log: Path
    log_offset_bytes: int  # where its output begins
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        if self.timed_out:
            return "took too long and was ended"
        if self.code < 0:
            return f"was ended by {signal.Signals(-self.code).name}"
        return f"exit code {self.code}"

    def tail(self, lines: int = 12) -> str:
        """The last lines it printed."""
        return tail_of(self.log, lines=lines, start_bytes=self.log_offset_bytes)


def run(
    command: str, *, cwd: Path, env: Mapping[str, str], log: Path, timeout_s: float, path_prepend: tuple[str, ...] = ()
) -> Ran:
    """Run *command* by `sh -c` in a session of its own, output appended to *log*.

    *env* comes on top of the caller's. At the timeout, or if this call is interrupted, the whole process group is
    asked to end and after `GRACE_S` killed.
    """
    full = {**os.environ, **env}
    full["PATH"] = os.pathsep.join((*path_prepend, full.get("PATH", os.defpath)))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        out.write(f"$ {command}\n".encode())
        out.flush()
        begins = out.tell()
        child = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=cwd,
            env=full,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return Ran(child.wait(timeout_s), log, begins)
        except subprocess.TimeoutExpired:
            _end_group(child)
            return Ran(child.returncode, log, begins, timed_out=True)
        except BaseException:
            _end_group(child)
            raise


def tail_of(log: Path, *, lines: int, start_bytes: int = 0) -> str:
    """The last *lines* of a log file after *start_bytes*, at most 64 KiB; "" if it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(start_bytes, log.stat().st_size - TAIL_BYTES))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""


def _end_group(child: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            continue
    child.wait()
