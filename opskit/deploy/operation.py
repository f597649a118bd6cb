"""The journal of the one operation under way on a target: its intent, and each step's start and outcome, flushed.

A step with a start and no outcome is unknown: whoever resumes asks the world. The file goes when the operation ends.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from opskit.deploy.durable import append_line, flush_directory, read_lines


@dataclass(frozen=True, slots=True)
class Intent:
    """What an operation set out to do. Releases by directory name; `was_running` is "" if nothing was."""

    id: str
    kind: str  # deploy | rollback
    target: str
    ref: str
    version: str
    commit: str
    release: str
    was_running: str
    at: str
    reason: str = ""
    break_glass: str = ""


@dataclass(frozen=True, slots=True)
class HalfDone:
    """An operation that has not ended: done steps in order, and the one it was in, if any."""

    intent: Intent
    done: tuple[str, ...] = field(default=())
    unknown: str = ""

    def __str__(self) -> str:
        where = (
            f"in the step {self.unknown!r}"
            if self.unknown
            else f"after {self.done[-1]!r}"
            if self.done
            else "at its start"
        )
        return f"{self.intent.kind} of {self.intent.version} ({self.intent.commit[:12]}), cut off {where}"


class Operation:
    """The open journal at *path*."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, intent: Intent) -> None:
        """Write the intent; from here on the operation is half-done until `end`."""
        self._path.unlink(missing_ok=True)
        append_line(self._path, {"intent": asdict(intent)})

    def started(self, step: str) -> None:
        append_line(self._path, {"started": step})

    def finished(self, step: str) -> None:
        append_line(self._path, {"finished": step})

    def end(self) -> None:
        """Nothing is half-done any more."""
        self._path.unlink(missing_ok=True)
        flush_directory(self._path.parent)


def half_done(path: Path) -> HalfDone | None:
    """What the journal at *path* says is half-done; None without one, or when not even its intent was written."""
    lines = read_lines(path)
    if not lines or "intent" not in lines[0]:
        return None
    known = Intent.__dataclass_fields__.keys()
    intent = Intent(**{key: str(lines[0]["intent"].get(key, "")) for key in known})
    done: list[str] = []
    unknown = ""
    for line in lines[1:]:
        if "started" in line:
            unknown = str(line["started"])
        elif "finished" in line:
            done.append(str(line["finished"]))
            unknown = ""
    return HalfDone(intent, tuple(done), unknown)
