"""What happens to the work trees when the branches they are on move or go: checked first, moved after."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opskit.errors import Refused
from opskit.git import refs, worktrees
from opskit.git.refs import BRANCH
from opskit.git.runner import Git
from opskit.git.unfinished import unfinished
from opskit.git.worktrees import Worktree
from opskit.journal import Operation
from opskit.release.plan import Plan


def check_trees(git: Git, plan: Plan) -> list[dict[str, Any]]:
    """What to do with each work tree that *plan* concerns; raises `Refused` naming the files in the way.

    A rebase or merge that waits in any work tree and would move one of the plan's branches is in the way too.

    One entry a tree: `path`, `branch` it is on, `old` and `new` commit, `home` (the branch it goes to, "" = stays or
    is detached), `remove`.
    """
    moves = {one.ref: one for one in plan.local}
    trees = [tree for tree in worktrees.listed(git) if not tree.bare and not tree.gone]
    taken = {tree.branch for tree in trees}
    concerned: list[dict[str, Any]] = []
    for tree in trees:
        _refuse_unfinished(git.at(tree.path), tree, moves)
        move = moves.get(tree.branch)
        if move is None or not tree.branch:
            continue
        entry: dict[str, Any] = {"path": str(tree.path), "branch": tree.branch, "old": move.old, "new": move.new}
        entry |= {"home": "", "remove": False}
        if not move.new:
            entry |= _leaving(git, plan, tree, taken)
            taken.add(str(entry["home"]))
        here = git.at(tree.path)
        if entry["remove"]:
            if unsaved := worktrees.unsaved(here):
                raise Refused(
                    f"the work tree {tree.path} has uncommitted work: {', '.join(unsaved)}",
                    remedy="commit it, or git stash -u",
                )
        else:
            worktrees.check_move(here, _start(git, str(entry["old"])), str(entry["new"]))
        concerned.append(entry)
    return concerned


def _refuse_unfinished(here: Git, tree: Worktree, moves: Mapping[str, Any]) -> None:
    waiting = unfinished(here, branch=tree.branch)
    moved = sorted(waiting.branches & moves.keys()) if waiting else []
    if waiting and moved:
        names = ", ".join(ref.removeprefix(BRANCH) for ref in moved)
        raise Refused(
            f"a {waiting.act} of {names} is under way in {tree.path}",
            remedy=f"git -C {tree.path} {waiting.act} --continue, or --abort",
        )


def _leaving(git: Git, plan: Plan, tree: Worktree, taken: set[str]) -> dict[str, Any]:
    """Where a work tree goes whose branch is deleted: gone if we made it, else to a branch nobody has checked out."""
    if worktrees.is_ours(git.at(tree.path)):
        return {"remove": True, "new": ""}
    now = {name: ref.id for name, ref in refs.read(git, BRANCH).items()}
    now |= {one.ref: one.new for one in plan.local}
    homes = [BRANCH + home for home in plan.homes if now.get(BRANCH + home)]
    for home in homes:
        if home not in taken:
            return {"home": home, "new": now[home]}
    return {"home": "", "new": now[homes[0]]}


def move_trees(git: Git, operation: Operation, *, why: str) -> str:
    """Bring every work tree of the checked list along; may be repeated. Returns a sentence on what moved."""
    bring = worktrees.settle if operation.attempts("files") > 1 else worktrees.move
    said = []
    for entry in _entries(operation):
        place = Path(entry["path"])
        if not place.exists():
            continue
        here = git.at(place)
        if entry["remove"]:
            here.run("update-ref", "--no-deref", "HEAD", entry["old"])
            worktrees.remove(git, place)
            said.append(f"{place} is removed")
            continue
        bring(here, _start(git, entry["old"]), entry["new"])
        if entry["home"]:
            worktrees.switch(here, entry["home"], why=why)
            said.append(f"{place} is now on {entry['home'].removeprefix(BRANCH)}")
        elif refs.head_branch(here) == entry["branch"] and not _exists(git, entry["branch"]):
            here.run("update-ref", "--no-deref", "-m", why, "HEAD", entry["new"])
            said.append(f"{place} is now detached at {entry['new'][:12]}")
    return "; ".join(said)


def restore_trees(git: Git, operation: Operation) -> None:
    """Put the files back where an aborted operation had begun to move them."""
    if not operation.begun("files"):
        return
    for entry in _entries(operation):
        if Path(entry["path"]).exists() and not entry["remove"]:
            worktrees.settle(git.at(Path(entry["path"])), entry["new"], _start(git, entry["old"]))


def _entries(operation: Operation) -> list[Mapping[str, Any]]:
    fact = operation.fact("trees") or {"trees": []}
    return list(fact["trees"])


def _exists(git: Git, ref: str) -> bool:
    return ref in refs.read(git, ref)


def _start(git: Git, old: str) -> str:
    """The commit a tree is at; of a branch without one, the empty tree."""
    return old or git.text("mktree", stdin=b"")
