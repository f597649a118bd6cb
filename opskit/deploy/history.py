"""What was in service on a target, in order: one line per deploy and rollback that ended."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from opskit.deploy.durable import append_line, read_lines


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation that ended. `release` and `previous` are names of release directories, "" for none."""

    at: str
    kind: str  # deploy | rollback
    release: str
    previous: str
    result: str  # done | failed | rolled_back | superseded
    reason: str = ""

    @property
    def in_service(self) -> bool:
        """True if it put its release into service."""
        return self.result == "done"


def read(path: Path) -> list[Entry]:
    """Every entry, oldest first; lines that are none are left out."""
    known = Entry.__dataclass_fields__.keys()
    return [Entry(**{key: str(line.get(key, "")) for key in known}) for line in read_lines(path)]


def append(path: Path, entry: Entry) -> None:
    """Add *entry*, flushed."""
    append_line(path, asdict(entry))


def service_order(entries: Iterable[Entry]) -> list[str]:
    """The releases that were in service, by the last time they went in, oldest first."""
    order: dict[str, None] = {}
    for entry in entries:
        if entry.in_service:
            order.pop(entry.release, None)
            order[entry.release] = None
    return list(order)


def left_by_rollback(entries: Iterable[Entry]) -> set[str]:
    """The releases that a rollback has left and no deploy has put back since."""
    left: set[str] = set()
    for entry in entries:
        if entry.kind == "rollback" and entry.in_service and entry.previous:
            left.add(entry.previous)
        elif entry.kind == "deploy" and entry.result == "rolled_back":
            left.add(entry.release)
        elif entry.kind == "deploy" and entry.in_service:
            left.discard(entry.release)
    return left


def left_because_of(entries: Iterable[Entry], release: str) -> Entry | None:
    """The entry of the rollback that left *release*, if no deploy has put it back since."""
    entries = list(entries)
    if release not in left_by_rollback(entries):
        return None
    by_hand = [entry for entry in entries if entry.kind == "rollback" and entry.previous == release]
    by_bake = [entry for entry in entries if entry.result == "rolled_back" and entry.release == release]
    return max([*by_hand, *by_bake], key=lambda entry: entry.at, default=None)


def rollback_choice(entries: Iterable[Entry], *, running: str, retained: Iterable[str]) -> str:
    """The newest retained release that was in service and that no rollback has left; "" if there is none."""
    entries = list(entries)
    left, here = left_by_rollback(entries), set(retained)
    fit = [name for name in service_order(entries) if name in here and name not in left and name != running]
    return fit[-1] if fit else ""
