"""Starting a hotfix: a branch from the newest release on main, in a work tree of its own where the tree is dirty."""

from dataclasses import dataclass
from pathlib import Path

from opskit.calls import STARTED
from opskit.desk import Desk
from opskit.errors import Refused, UsageFault
from opskit.git import refs, worktrees
from opskit.git.refs import BRANCH, Update
from opskit.git.runner import Git, GitFailed
from opskit.release.plan_hotfix import HOTFIX, Production, production
from opskit.release.plan_world import read_world, tip
from opskit.transaction import moment_s, refuse_if_half_done


@dataclass(frozen=True, slots=True)
class Start:
    """What `hotfix start` is about to do: `worktree` is None if the branch is checked out where the caller is."""

    branch: str
    base: Production
    worktree: Path | None
    warnings: tuple[str, ...]


def plan_start(desk: Desk, name: str) -> Start:
    """Look whether a hotfix called *name* can begin; raises `Refused`, `UsageFault`."""
    branch = HOTFIX + name.removeprefix(HOTFIX)
    if desk.git.run("check-ref-format", "--branch", branch, check=False).code:
        raise UsageFault(f"{name!r} cannot be part of a branch name", remedy="letters, digits and hyphens will do")
    world = read_world(desk.git, desk.remote, at_s=moment_s())
    if world.knows(BRANCH + branch):
        raise Refused(f"{branch} exists already", remedy=f"git checkout {branch}, or choose another name")
    main = tip(desk.git, world, desk.config.main, key="main")
    base = production(desk.git, main=main, prefix=desk.config.tag_prefix)
    here = Git(desk.config_dir)
    place = _free_place(desk.git.directory, name.removeprefix(HOTFIX)) if worktrees.is_dirty(here) else None
    return Start(branch, base, place, tuple(_warnings(desk, base)))


def start(desk: Desk, wanted: Start, *, incident: str) -> None:
    """Make the branch, check it out, note it in the ledger; raises `Refused` with nothing changed."""
    with desk.journal.locked():
        refuse_if_half_done(desk)
        sha, ref = wanted.base.release.sha, BRANCH + wanted.branch
        here = Git(desk.config_dir)
        if wanted.worktree is None:
            worktrees.check_move(here, here.text("rev-parse", "HEAD"), sha)
        refs.update(desk.git, [Update(ref, "", sha)], why=f"opskit hotfix start {wanted.branch}")
        try:
            _check_out(desk, wanted, here, sha)
        except GitFailed as fault:
            refs.update(desk.git, [Update(ref, sha, "")], why="opskit hotfix start failed")
            raise Refused(
                f"{wanted.branch} cannot be checked out: {fault}", remedy="mend that, then run it again"
            ) from fault
        data = {"branch": wanted.branch, "base": wanted.base.release.tag, "incident": incident}
        desk.ledger.append(STARTED, data, subject=f"hotfix start {wanted.branch} from {wanted.base.release.tag}")


def _check_out(desk: Desk, wanted: Start, here: Git, sha: str) -> None:
    """Check the new branch out; raises `GitFailed` with the files as they were."""
    before = here.text("rev-parse", "HEAD")
    try:
        if wanted.worktree is None:
            here.run("checkout", "-q", wanted.branch, "--")
        else:
            worktrees.add(desk.git, wanted.worktree, sha, branch=BRANCH + wanted.branch)
    except GitFailed:
        if wanted.worktree is not None:
            worktrees.discard(desk.git, wanted.worktree)
        elif refs.head_branch(here) == BRANCH + wanted.branch:
            return  # only a hook of git's failed
        else:
            worktrees.put_back(here, before, sha)
        raise


def _warnings(desk: Desk, base: Production) -> list[str]:
    """What a person may not expect of the base: main has moved on, or something else runs."""
    desk.ledger.pull()  # others may have deployed
    said = []
    if not base.is_tip:
        said.append(f"{desk.config.main} is ahead of {base.release.tag}; the hotfix starts from the release")
    running: dict[str, str] = {}
    for event in desk.ledger.read():
        if event.kind in ("deploy", "rollback") and event.data.get("result") == "done":
            running[str(event.data.get("target", ""))] = str(event.data.get("version", ""))
    version = str(base.release.version)
    said += [
        f"{target} runs {runs}, not {base.release.tag}" for target, runs in running.items() if runs and runs != version
    ]
    return said


def _free_place(top: Path, name: str) -> Path:
    base = top.with_name(f"{top.name}-hotfix-{name.replace('/', '-')}")
    return next(place for n in range(1, 1000) if not (place := base if n == 1 else Path(f"{base}-{n}")).exists())
