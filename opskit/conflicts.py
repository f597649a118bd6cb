"""A merge that a person must settle: a work tree with the conflict, and what they made of it."""

import os
from pathlib import Path

from opskit.desk import Desk
from opskit.errors import HalfWay
from opskit.git import worktrees
from opskit.git.runner import Git
from opskit.journal import Operation
from opskit.release.plan import MergeConflict


def lay_out(desk: Desk, conflict: MergeConflict, *, verb: str) -> HalfWay:
    """Make a work tree in the midst of the merge and return the error that says where it is and how to go on.

    Files that structure settled are staged there already.
    """
    place = _free_place(desk.git.directory)
    desk.journal.fact("conflict", ours=conflict.ours, theirs=conflict.theirs, path=str(place))
    here = worktrees.add(desk.git, place, conflict.ours)
    here.run("-c", "rerere.enabled=false", "merge", "--no-commit", "--no-ff", "-q", conflict.theirs, check=False)
    for name, content in conflict.settled.items():
        (place / name).write_bytes(content)
        here.run("add", "--", name)
    desk.journal.fact("laid_out", path=str(place))
    return HalfWay(
        f"{conflict}; the merge waits in {place}",
        remedy=f"settle it there, git add the files, then opskit {verb} --continue, or --abort",
    )


def conflict_trees(operation: Operation) -> list[Path]:
    """The work trees that were laid out."""
    return [Path(fact["path"]) for fact in operation.facts("conflict")]


def settled_trees(desk: Desk, operation: Operation, *, look_only: bool = False) -> dict[str, str]:
    """What people made of the conflicts laid out so far, as `OURS THEIRS` → tree; noted unless *look_only*.

    Raises `HalfWay` if one is not settled yet.
    """
    settled = {fact["key"]: fact["tree"] for fact in operation.facts("settled")}
    whole = {fact["path"] for fact in operation.facts("laid_out")}
    for fact in operation.facts("conflict"):
        key = f"{fact['ours']} {fact['theirs']}"
        place = Path(fact["path"])
        if key in settled or not place.exists():  # gone: it is laid out anew
            continue
        if fact["path"] not in whole:  # opskit was killed while it made the place: nobody has worked there
            if not look_only:
                worktrees.discard(desk.git, place)
            continue
        settled[key] = _tree_of(desk.git.at(place), str(fact["ours"]), title=place)
        if not look_only:
            desk.journal.fact("settled", key=key, tree=settled[key])
    return settled


def _tree_of(here: Git, ours: str, *, title: Path) -> str:
    remedy = "settle it, git add the files, then go on with --continue, or --abort"
    unmerged = {entry.split("\t", 1)[1] for entry in here.text("ls-files", "-u", "-z").split("\0") if entry}
    if unmerged:
        raise HalfWay(f"still in conflict in {title}: {', '.join(sorted(unmerged))}", remedy=remedy)
    unstaged = [name for name in here.text("diff-files", "-z", "--name-only").split("\0") if name]
    here.run("update-index", "-q", "--refresh", check=False, env={"GIT_OPTIONAL_LOCKS": "1"})
    unstaged = [name for name in here.text("diff-files", "-z", "--name-only").split("\0") if name]
    if unstaged:
        raise HalfWay(f"changed but not staged in {title}: {', '.join(unstaged)}", remedy=remedy)
    if here.text("rev-parse", "HEAD") != ours:
        return here.text("rev-parse", "HEAD^{tree}")
    if here.run("rev-parse", "-q", "--verify", "MERGE_HEAD", check=False).code:
        raise HalfWay(f"the merge in {title} was given up there", remedy=f"--abort, or git -C {title} merge it again")
    return here.text("write-tree")


def _free_place(top: Path) -> Path:
    """A folder next to the main work tree that does not exist yet."""
    parent = top.parent if os.access(top.parent, os.W_OK) else Path("/tmp")  # noqa: S108 - named to a person, made fresh
    base = parent / f"{top.name}-merge"
    return next(place for n in range(1, 1000) if not (place := base.with_name(f"{base.name}-{n}")).exists())
