"""References: one reading of all of them, and one transaction that moves several."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opskit.errors import Refused
from opskit.git.runner import Git

BRANCH, TAG = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True)
class Ref:
    """What a reference points at; `commit` is the commit behind an annotated tag, "" if there is none."""

    id: str
    commit: str


@dataclass(frozen=True, slots=True)
class Update:
    """Set *ref* from *old* to *new*; "" = does not exist."""

    ref: str
    old: str
    new: str


def read(git: Git, *prefixes: str) -> dict[str, Ref]:
    """Every reference under *prefixes* (default: all), by its full name."""
    wanted = "%(refname)%00%(objectname)%00%(objecttype)%00%(*objectname)%00%(*objecttype)"
    found = {}
    for line in git.lines("for-each-ref", f"--format={wanted}", *prefixes):
        name, oid, kind, behind, behind_kind = line.split("\0")
        commit = oid if kind == "commit" else behind if behind_kind == "commit" else ""
        found[name] = Ref(oid, commit)
    return found


def head_branch(git: Git) -> str:
    """The full name of the branch checked out here, "" when HEAD is detached."""
    return os.fsdecode(git.run("symbolic-ref", "-q", "HEAD", check=False).out.strip())


def update(git: Git, updates: Sequence[Update], *, why: str) -> None:
    """Move all references or none; raises `Refused` with git's reason if one is not at its old value."""
    _transaction(git, updates, end="commit", why=why)


def rehearse(git: Git, updates: Sequence[Update]) -> None:
    """Take every lock that `update` would take and let go of them; raises `Refused` as that would."""
    _transaction(git, updates, end="abort", why="opskit")


def _transaction(git: Git, updates: Sequence[Update], *, end: str, why: str) -> None:
    lines = [_line(one) for one in updates if one.old != one.new]
    if not lines:
        return
    feed = "".join(["start\n", *lines, "prepare\n", f"{end}\n"])
    output = git.run("update-ref", "--stdin", "-m", why, stdin=os.fsencode(feed), check=False)
    if output.code:
        raise Refused(
            f"the local references could not be moved: {output.reason}",
            remedy="mend that (git reflog shows who moved one; a .lock file that no running git holds may go), "
            "then run it again",
        )


def unlock(git: Git, names: Iterable[str]) -> None:
    """Remove the lock files that a killed git left on these references; the caller knows that nobody holds them."""
    common = git.common_dir
    for name in (*names, "packed-refs"):
        (common / f"{name}.lock").unlink(missing_ok=True)


def _line(one: Update) -> str:
    if not one.old:
        return f"option no-deref\ncreate {one.ref} {one.new}\n"
    if not one.new:
        return f"option no-deref\ndelete {one.ref} {one.old}\n"
    return f"option no-deref\nupdate {one.ref} {one.new} {one.old}\n"


def is_ancestor(git: Git, older: str, newer: str) -> bool:
    """True if *newer* contains *older*; a commit contains itself."""
    return older == newer or git.run("merge-base", "--is-ancestor", older, newer, check=False).code == 0
