"""Git objects made without a work tree or an index of anybody's: trees, merges, commits, annotated tags."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from opskit.errors import Refused
from opskit.git.runner import Git, GitFailed


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that three-way merge could not settle; the object id of each side, "" where it has no such file."""

    path: str
    base: str = ""
    ours: str = ""
    theirs: str = ""


@dataclass(frozen=True, slots=True)
class Merged:
    """The tree of a merge; with conflicts it holds conflict markers and must not be committed."""

    tree: str
    conflicts: tuple[Conflict, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """When an object is made, in seconds since 1970 UTC, and whether git is to sign commits and tags."""

    at_s: int
    sign_commits: bool = False
    sign_tags: bool = False

    @property
    def env(self) -> dict[str, str]:
        """The environment that gives git this date; UTC, so that the ids do not depend on where it runs."""
        date = f"@{self.at_s} +0000"
        return {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}


def merge(git: Git, ours: str, theirs: str) -> Merged:
    """Merge two commits as `git merge` would, into a tree. Raises `GitFailed` where they share no history."""
    output = git.run("merge-tree", "--write-tree", "-z", "--no-messages", ours, theirs, check=False)
    if output.code not in (0, 1):
        raise GitFailed(("merge-tree", ours, theirs), output)
    tree, *entries = os.fsdecode(output.out).split("\0")
    sides: dict[str, dict[str, str]] = {}
    for entry in entries:
        if not entry:
            break
        facts, path = entry.split("\t", 1)
        _, oid, stage = facts.split(" ")
        sides.setdefault(path, {})[("base", "ours", "theirs")[int(stage) - 1]] = oid
    return Merged(tree, tuple(Conflict(path, **found) for path, found in sides.items()))


def no_files(git: Git, revision: str, paths: Sequence[str]) -> list[str]:
    """Those of *paths* that are something in *revision* but no plain file: a symbolic link, a folder, a submodule.

    And what stands where one of them needs a folder, and is none.
    """
    above = {str(folder) for path in paths for folder in PurePosixPath(path).parents if folder.name}
    listed = git.text("--literal-pathspecs", "ls-tree", "-z", "--full-tree", revision, "--", *above, *paths)
    entries = [entry.split("\t", 1) for entry in listed.split("\0") if entry]
    return [path for facts, path in entries if not facts.startswith("040" if path in above else "100")]


def read_blobs(git: Git, names: Sequence[str]) -> list[bytes | None]:
    """The contents of objects (`REV:PATH` or ids); None for one that does not exist or is no file."""
    if not names:
        return []
    if any("\n" in name for name in names):
        raise Refused("a path with a line break cannot be read from git", remedy="rename it")
    out = git.run("cat-file", "--batch", stdin=os.fsencode("\n".join(names) + "\n")).out
    found: list[bytes | None] = []
    at = 0
    for _ in names:
        end = out.index(b"\n", at)
        header = out[at:end].rsplit(b" ", 2)
        if len(header) < 3 or header[1] not in (b"blob", b"tree", b"commit", b"tag"):
            found.append(None)  # `NAME missing` or `NAME ambiguous`
            at = end + 1
            continue
        size_bytes = int(header[2])
        found.append(out[end + 1 : end + 1 + size_bytes] if header[1] == b"blob" else None)
        at = end + 1 + size_bytes + 1
    return found


def write_blob(git: Git, content: bytes) -> str:
    """Store *content* as it is and return its id."""
    return git.text("hash-object", "-w", "--stdin", stdin=content)


def edit_tree(git: Git, tree: str, files: Mapping[str, bytes]) -> str:
    """The tree with *files* (path from the top → content) put in; modes stay, new files are plain."""
    if not files:
        return git.text("rev-parse", f"{tree}^{{tree}}")
    listed = git.text("--literal-pathspecs", "ls-tree", "-z", "--full-tree", tree, "--", *files)
    modes = {path: facts.split(" ")[0] for facts, path in (e.split("\t", 1) for e in listed.split("\0") if e)}
    entries = (f"{modes.get(path, '100644')} {write_blob(git, new)}\t{path}\0" for path, new in files.items())
    return put_entries(git, tree, "".join(entries))


def put_entries(git: Git, tree: str, entries: str) -> str:
    """The tree with index entries (`MODE ID<tab>PATH<nul>`, as `ls-tree -z` prints them) put in."""
    with tempfile.TemporaryDirectory(prefix="opskit-index-") as scratch:
        env = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        git.run("read-tree", tree, env=env)
        git.run("update-index", "-z", "--index-info", stdin=os.fsencode(entries), env=env)
        return git.text("write-tree", env=env)


def commit(git: Git, *, tree: str, parents: Sequence[str], message: str, signature: Signature) -> str:
    """Store a commit and return its id. Raises `Refused` where git does not know who commits, or cannot sign."""
    flags = ("-S",) if signature.sign_commits else ()
    named = [flag for parent in parents for flag in ("-p", parent)]
    try:
        return git.text("commit-tree", *flags, tree, *named, "-F", "-", stdin=_text(message), env=signature.env)
    except GitFailed as fault:
        raise Refused(
            f"git cannot make the commit: {fault.output.reason}",
            remedy="set user.name and user.email with git config; where commits are signed, check user.signingKey",
        ) from fault


def tag(git: Git, *, name: str, target: str, message: str, signature: Signature) -> str:
    """Store an annotated tag object and return its id; no ref is made. Raises `Refused` as `commit` does."""
    if signature.sign_tags:
        return _signed_tag(git, name=name, target=target, message=message, signature=signature)
    who = git.text("var", "GIT_COMMITTER_IDENT", env=signature.env)
    text = f"object {target}\ntype commit\ntag {name}\ntagger {who}\n\n{message}"
    return git.text("mktag", stdin=_text(text))


def _signed_tag(git: Git, *, name: str, target: str, message: str, signature: Signature) -> str:
    """`git tag -s` in a scratch repository that shares our objects and configuration: no reference of ours appears."""
    common = git.common_dir
    with tempfile.TemporaryDirectory(prefix="opskit-tag-") as scratch:
        Path(scratch, "refs").mkdir()
        Path(scratch, "objects").mkdir()
        Path(scratch, "HEAD").write_text("ref: refs/heads/none\n", encoding="ascii")
        env = {"GIT_OBJECT_DIRECTORY": str(common / "objects"), **git.env, **signature.env, "GIT_DIR": scratch}
        config = ("-c", f"include.path={common / 'config'}", "-c", "core.bare=true", "-c", "core.worktree=")
        try:
            made = ("tag", "-s", "--cleanup=verbatim", "-F", "-", "--end-of-options", name, target)
            git.run(*config, *made, stdin=_text(message), env=env)
        except GitFailed as fault:
            raise Refused(
                f"git cannot sign the tag {name}: {fault.output.reason}",
                remedy="check user.signingKey and gpg.format, or set tag.gpgSign to false",
            ) from fault
        return git.text(*config, "rev-parse", f"refs/tags/{name}", env=env)


def signing(git: Git, at_s: int) -> Signature:
    """The signature for objects made at *at_s*, signed where git is configured for it."""
    output = git.run("config", "--type=bool", "--get-regexp", r"^(commit|tag)\.gpgsign$", check=False)
    on = {line.split()[0].lower() for line in output.out.decode("utf-8", "replace").splitlines() if "true" in line}
    return Signature(at_s, sign_commits="commit.gpgsign" in on, sign_tags="tag.gpgsign" in on)


@contextmanager
def scratch_objects(git: Git) -> Iterator[Git]:
    """A runner whose new objects are gone afterwards: a dry run leaves nothing behind and needs no right to write."""
    with tempfile.TemporaryDirectory(prefix="opskit-dry-run-") as scratch:
        env = {"GIT_OBJECT_DIRECTORY": scratch, "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(git.common_dir / "objects")}
        yield Git(git.directory, env=env)


def _text(message: str) -> bytes:
    return os.fsencode(message if message.endswith("\n") else message + "\n")
