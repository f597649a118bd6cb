"""What git itself is in the midst of in a work tree: a rebase, a merge, a cherry-pick, a revert, applying patches."""

from dataclasses import dataclass
from pathlib import Path

from opskit.git.runner import Git

_HEADS = {"MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick", "REVERT_HEAD": "revert"}
_LINES_PER_REF = 3  # of rebase-merge/update-refs: name, old id, new id


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An act of git that waits for a person; `branches` are the full names of those it will move when it goes on."""

    act: str  # as git calls the command
    branches: frozenset[str]


def unfinished(git: Git, *, branch: str) -> Unfinished | None:
    """What waits in the work tree of *git*, whose HEAD is on *branch* ("" = detached); None if nothing does."""
    place = Path(git.text("rev-parse", "--absolute-git-dir"))
    for folder in (place / "rebase-merge", place / "rebase-apply"):
        if folder.is_dir():
            if (folder / "applying").exists():
                return Unfinished("am", frozenset({branch}))
            others = _text(folder / "update-refs").splitlines()[::_LINES_PER_REF]
            return Unfinished("rebase", frozenset({_text(folder / "head-name").strip(), *others}))
    for name, act in _HEADS.items():
        if (place / name).exists():
            return Unfinished(act, frozenset({branch}))
    if (place / "sequencer" / "todo").exists():  # between two of several commits
        act = "revert" if _text(place / "sequencer" / "todo").startswith("revert") else "cherry-pick"
        return Unfinished(act, frozenset({branch}))
    return None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
