"""Work trees: which there are, moving a checked-out branch together with its files, and temporary clean ones."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from opskit.errors import Refused
from opskit.git.runner import Git

_OURS = "opskit process "  # the lock reason of a temporary work tree, followed by the id of the process that uses it
# What running Python's tests leaves in a work tree without anybody having written it.
_LEFT_BEHIND = {"__pycache__", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache", ".coverage"}
_MADE = "opskit-made"  # a file in the git directory of a work tree that `hotfix start` made


@dataclass(frozen=True, slots=True)
class Worktree:
    """A work tree of this repository; `branch` is a full name, "" when HEAD is detached."""

    path: Path
    head: str = ""
    branch: str = ""
    locked: str = ""
    bare: bool = False
    gone: bool = False


def listed(git: Git) -> list[Worktree]:
    """All work trees, the main one first."""
    found: list[Worktree] = []
    for block in git.text("worktree", "list", "--porcelain", "-z").split("\0\0"):
        facts = dict([*line.split(" ", 1), ""][:2] for line in block.split("\0") if line)
        if not facts:
            continue
        found.append(
            Worktree(
                Path(facts["worktree"]),
                head=facts.get("HEAD", ""),
                branch=facts.get("branch", ""),
                locked=facts.get("locked", ""),
                bare="bare" in facts,
                gone="prunable" in facts,
            )
        )
    main = found[0]
    if not main.bare and not (main.path / ".git").exists():
        found[0] = _with_its_files(git, main)
    return found


def _with_its_files(git: Git, main: Worktree) -> Worktree:
    """The main work tree where its git directory is not in it (a submodule, `--separate-git-dir`).

    Git lists the git directory itself then. From another work tree it may not know where the files are: without any.
    """
    common = git.common_dir
    if Path(git.text("rev-parse", "--absolute-git-dir")) == common:
        return replace(main, path=Path(git.text("rev-parse", "--show-toplevel")))
    configured = git.run("config", "--file", str(common / "config"), "core.worktree", check=False)
    place = os.fsdecode(configured.out.removesuffix(b"\n"))
    return replace(main, path=(common / place).resolve()) if place else replace(main, path=common, bare=True)


def check_move(git: Git, old: str, new: str) -> None:
    """See whether the files can go from commit *old* to *new*; changes nothing but the index's time stamps.

    Raises `Refused` naming the files in the way.
    """
    if old == new:
        return
    git.run("update-index", "-q", "--refresh", check=False, env={"GIT_OPTIONAL_LOCKS": "1"})
    output = git.run("read-tree", "-n", "-m", "-u", old, new, check=False)
    names = in_the_way(git, old, new) if output.code else _ignored_in_the_way(git, old, new)
    if names:
        raise Refused(
            f"uncommitted changes in {git.directory} are in the way: {', '.join(names)}",
            remedy="commit them, stash them (git stash -u), or move them away",
        )
    if output.code:
        raise Refused(
            f"git cannot move the files in {git.directory}: {output.reason}", remedy="mend that, then run it again"
        )


def in_the_way(git: Git, old: str, new: str) -> list[str]:
    """The changed or untracked files that moving from *old* to *new* would overwrite."""
    moved = set(_paths(git.text("diff-tree", "-r", "-z", "--no-commit-id", "--name-only", "--no-renames", old, new)))
    changed = set(_paths(git.text("diff-index", "-z", "--name-only", "--no-renames", old, "--")))
    untracked = set(_paths(git.text("ls-files", "-z", "--others")))
    folders = {str(parent) for path in moved for parent in Path(path).parents}
    return sorted(moved & changed | untracked & (moved | folders))


def _ignored_in_the_way(git: Git, old: str, new: str) -> list[str]:
    """The ignored files with content of their own that moving from *old* to *new* would overwrite without a word."""
    added = _added(git, old, new)
    folders = {parent for path in added for parent in Path(path).parents} - {Path()}
    there = [path for path in added if os.path.lexists(git.directory / path)]
    there += [str(folder) for folder in folders if (git.directory / folder).is_file()]
    if not there:
        return []
    tracked = set(_paths(git.text("--literal-pathspecs", "ls-files", "-z", "--", *there)))
    return sorted(path for path in there if path not in tracked and not _same(git, path, new))


def _added(git: Git, old: str, new: str) -> list[str]:
    listed_new = ("-r", "-z", "--no-commit-id", "--name-only", "--no-renames", "--diff-filter=A")
    return _paths(git.text("diff-tree", *listed_new, old, new))


def _same(git: Git, path: str, commit: str) -> bool:
    file = git.directory / path
    wanted = git.run("cat-file", "--filters", f"{commit}:{path}", check=False)
    return wanted.code == 0 and file.is_file() and not file.is_symlink() and file.read_bytes() == wanted.out


def move(git: Git, old: str, new: str) -> None:
    """Take index and files from commit *old* to *new*, leaving everything else that is changed as it is.

    Raises `Refused` if a changed file is in the way; then nothing was touched.
    """
    if old == new:
        return
    output = git.run("read-tree", "-m", "-u", old, new, check=False)
    if output.code:
        check_move(git, old, new)
        git.run("read-tree", "-m", "-u", old, new)


def settle(git: Git, old: str, new: str) -> None:
    """As `move`, for a move that may have been cut off: files that are already as in *new* are no obstacle.

    A file git was writing when it was killed is a beginning of the new content; it is finished.
    """
    index = Path(git.text("rev-parse", "--path-format=absolute", "--git-path", "index"))
    index.with_name("index.lock").unlink(missing_ok=True)  # the killed git's: the caller holds opskit's lock
    if git.run("diff-index", "--cached", "--quiet", new, "--", check=False).code == 0:
        return
    entries = git.text("diff-tree", "-r", "-z", "--no-commit-id", "--no-renames", "--name-only", old, new)
    done = [path for path in _paths(entries) if _is_new(git, path, new)]
    if done:
        staged = git.text("ls-tree", "-z", "-r", "--full-tree", new, "--", *done)
        kept = {entry.split("\t", 1)[1] for entry in staged.split("\0") if entry}
        removed = "".join(f"0 {'0' * len(new)}\t{path}\0" for path in done if path not in kept)
        git.run("update-index", "-z", "--index-info", stdin=os.fsencode(staged + removed))
    move(git, old, new)


def _is_new(git: Git, path: str, new: str) -> bool:
    file = git.directory / path
    wanted = git.run("cat-file", "--filters", f"{new}:{path}", check=False)
    if wanted.code:
        return not file.exists()
    if not file.is_file() or file.is_symlink():
        return False
    content = file.read_bytes()
    if content != wanted.out and wanted.out.startswith(content):
        file.write_bytes(wanted.out)
        return True
    return content == wanted.out


def put_back(git: Git, old: str, new: str) -> None:
    """The files of *old*, where HEAD is, after a checkout of *new* that broke off in a tree without changes."""
    git.run("reset", "-q", "--hard", old)
    for path in _added(git, old, new):
        (git.directory / path).unlink(missing_ok=True)


def switch(git: Git, branch: str, *, why: str) -> None:
    """Point HEAD at *branch*, "" = stay on the commit without a branch; files are not touched."""
    if branch:
        git.run("symbolic-ref", "-m", why, "HEAD", branch)
    else:
        git.run("update-ref", "--no-deref", "-m", why, "HEAD", git.text("rev-parse", "HEAD"))


@contextmanager
def temporary(git: Git, commit: str) -> Iterator[Git]:
    """A clean work tree of exactly *commit*, gone again afterwards; what killed processes left is swept first."""
    sweep(git)
    base = Path(tempfile.mkdtemp(prefix="opskit-"))
    place = base / git.directory.name
    lock = ("--lock", "--reason", f"{_OURS}{os.getpid()}")
    try:
        git.run("worktree", "add", "--quiet", "--detach", *lock, str(place), commit)
        yield git.at(place)
    finally:
        _drop(git, place)
        shutil.rmtree(base, ignore_errors=True)


def sweep(git: Git) -> None:
    """Remove temporary work trees whose process is gone."""
    for tree in listed(git):
        if tree.locked.startswith(_OURS) and not _alive(int(tree.locked.removeprefix(_OURS))):
            _drop(git, tree.path)
            shutil.rmtree(tree.path.parent, ignore_errors=True)


def _drop(git: Git, place: Path) -> None:
    git.run("worktree", "remove", "--force", "--force", str(place), check=False)
    if place.exists():  # submodules, or a build that took rights away
        shutil.rmtree(place, ignore_errors=True)
        git.run("worktree", "unlock", str(place), check=False)
        git.run("worktree", "prune", check=False)


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def add(git: Git, place: Path, commit: str, *, branch: str = "") -> Git:
    """Make a lasting work tree at *place* on *branch* (detached if ""), remembered as ours."""
    where = (branch.removeprefix("refs/heads/"),) if branch else ("--detach",)
    if branch:
        git.run("worktree", "add", "--quiet", str(place), *where)
    else:
        git.run("worktree", "add", "--quiet", *where, str(place), commit)
    made = git.at(place)
    _marker(made).write_text("made by opskit\n", encoding="ascii")
    return made


def is_ours(git: Git) -> bool:
    """True for a work tree that `add` made."""
    return _marker(git).exists()


def remove(git: Git, place: Path) -> None:
    """Remove a work tree that `add` made; raises `Refused` if there is work in it that is saved nowhere else."""
    if unsaved(git.at(place)):
        raise Refused(
            f"the work tree {place} has uncommitted work",
            remedy=f"commit it there or throw it away: git worktree remove --force {place}",
        )
    git.run("worktree", "remove", "--force", "--", str(place))


def unsaved(git: Git) -> list[str]:
    """What is changed, staged or untracked here, what test runs leave behind left out."""
    entries = _paths(git.text("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"))
    paths = [entry[3:] for entry in entries if not (entry.startswith("??") and _is_left_behind(entry[3:]))]
    return sorted(paths)


def _is_left_behind(path: str) -> bool:
    *folders, name = path.split("/")
    return bool(_LEFT_BEHIND.intersection((*folders, name))) or name.endswith(".pyc")


def discard(git: Git, place: Path) -> None:
    """Remove a work tree with whatever is in it."""
    _drop(git, place)


def is_dirty(git: Git) -> bool:
    """True if anything is changed, staged or untracked."""
    return bool(git.run("status", "--porcelain", "-z").out)


def _marker(git: Git) -> Path:
    return Path(git.text("rev-parse", "--absolute-git-dir"), _MADE)


def _paths(zero_separated: str) -> list[str]:
    return [path for path in zero_separated.split("\0") if path]
