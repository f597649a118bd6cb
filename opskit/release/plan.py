"""What a release, a candidate, a hotfix or an undo comes to: a value that says which references move where.

A plan is made of git objects before anything refers to them, so that reading it, throwing it away and making it anew
change nothing. The same references, version and moment give the same ids.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from opskit.errors import HalfWay
from opskit.git.refs import BRANCH, TAG, Update


class Kind(StrEnum):
    """What a plan carries out."""

    RELEASE = "release"
    PREPARE = "prepare"
    CANDIDATE = "candidate"
    HOTFIX = "hotfix"
    UNDO = "undo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """References to move here (`local`) and on the remote (`remote`, empty without one), all or none.

    `gate` is the commit whose CI must be green, "" where nothing is tagged. `homes` are the branches that a work tree
    goes to when its own is deleted, best first.
    """

    kind: Kind
    version: str = ""  # without the prefix
    tag: str = ""
    notes: str = ""
    gate: str = ""
    local: tuple[Update, ...] = ()
    remote: tuple[Update, ...] = ()
    homes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)  # for the ledger: previous, branch, incident, override …

    @property
    def title(self) -> str:
        """What it is, for a sentence: `release v1.2.0`."""
        return f"{self.kind} {self.tag or self.version}".rstrip()

    def refs(self) -> list[dict[str, str | None]]:
        """Every reference that moves, as `{ref, old, new}`; None = does not exist. `old` is the one here, if here."""
        here = {one.ref: one for one in self.remote} | {one.ref: one for one in self.local}
        return [{"ref": one.ref, "old": one.old or None, "new": one.new or None} for one in here.values()]

    def as_json(self) -> dict[str, Any]:
        """As plain values, for the journal and the ledger."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Plan":
        """The plan that `as_json` wrote."""
        return msgspec.convert(plain, cls)

    def checklist(self) -> list[str]:
        """The plan for people, one line a step."""
        return [*(["CI on " + self.gate[:12]] if self.gate else []), *map(_line, self.refs())]


def _line(move: Mapping[str, str | None]) -> str:
    ref, old, new = str(move["ref"]), move["old"], move["new"]
    name = ref.removeprefix(BRANCH).removeprefix(TAG)
    what = "tag" if ref.startswith(TAG) else "branch"
    if not new:
        return f"delete {what} {name} (was {str(old)[:12]})"
    return f"{what} {name} → {new[:12]}" + (f" (from {old[:12]})" if old else " (new)")


class MergeConflict(HalfWay):
    """Two commits cannot be merged without a person; `settled` are the files that structure did settle."""

    def __init__(
        self, ours: str, theirs: str, *, into: str, what: str, paths: tuple[str, ...], settled: Mapping[str, bytes]
    ) -> None:
        self.ours, self.theirs, self.into, self.what = ours, theirs, into, what
        self.paths, self.settled = paths, settled
        super().__init__(f"merging {what} into {into} conflicts in {', '.join(paths)}")
