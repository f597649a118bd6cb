"""The whole commit graph with its refs and tags, read in two git calls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from opskit.errors import Refused
from opskit.git.runner import Git

_REF = "%(refname)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)%00%(creatordate:unix)"
_COMMIT = "%H%x00%P%x00%at%x00%ct%x00%B"
_COMMIT_FIELDS = 5


class Commit(NamedTuple):
    """A commit; times in seconds since the epoch, the message as text without line breaks around it."""

    sha: str
    parents: tuple[str, ...]
    authored_s: int
    committed_s: int
    message: str

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0]


class Tag(NamedTuple):
    """A tag, peeled: the commit it means in the end, and when it was made (for a plain tag: the commit's time)."""

    name: str
    sha: str
    made_s: int


@dataclass(frozen=True, slots=True)
class History:
    """The graph of what refs reach. Replaceable in tests: it is plain data."""

    commits: Sequence[Commit]  # a child always before its parents, whatever the clocks said
    tags: Mapping[str, Tag]  # by name without refs/tags/; tags of anything but a commit are not there
    heads: Mapping[str, str]  # local branch -> commit
    remotes: Mapping[str, str]  # remote-tracking branch (`origin/main`) -> commit
    head: str | None = None  # what is checked out; None: nothing yet

    def branch(self, name: str, *, remote: str = "") -> str | None:
        """The tip of the local branch *name*, else of the remote-tracking one; None if neither is there."""
        return self.heads.get(name) or self.remotes.get(f"{remote}/{name}")

    def reachable(self, *tips: str) -> frozenset[str]:
        """The ids of *tips* and of all their ancestors."""
        wanted = set(tips)
        for commit in self.commits:
            if commit.sha in wanted:
                wanted.update(commit.parents)
        return frozenset(wanted)


def read_history(git: Git, *, refs: Sequence[str] = ()) -> History:
    """Read all branches, remote-tracking branches and tags and what they reach, and the commits *refs* reach.

    *refs* may name commits that no ref holds yet, by id. Tool refs (`refs/opskit`, stash, notes) are left out.
    Raises `Refused` if the repository is shallow: a graph cut off gives wrong answers, not fewer.
    """
    if git.text("rev-parse", "--is-shallow-repository") == "true":
        raise Refused(
            "this repository is a shallow clone, and part of a history cannot tell which release a commit belongs to",
            remedy="git fetch --unshallow --tags",
        )
    heads: dict[str, str] = {}
    remotes: dict[str, str] = {}
    tags: dict[str, Tag] = {}
    listed = git.text("for-each-ref", f"--format={_REF}", "refs/heads", "refs/remotes", "refs/tags")
    for line in listed.split("\n") if listed else ():
        ref, kind, sha, peeled_kind, peeled_sha, made_s = line.split("\0")
        if ref.startswith("refs/heads/"):
            heads[ref.removeprefix("refs/heads/")] = sha
        elif ref.startswith("refs/remotes/"):
            remotes[ref.removeprefix("refs/remotes/")] = sha
        else:
            name = ref.removeprefix("refs/tags/")
            if peeled_kind == "tag":  # a tag of a tag: git before 2.45 peels once only
                found = git.run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False)
                peeled_kind, peeled_sha = ("commit" if found.code == 0 else ""), found.out.decode().strip()
            if "commit" in (kind, peeled_kind):
                tags[name] = Tag(name, peeled_sha or sha, int(made_s or 0))
    head = git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", check=False)
    tips = [*heads.values(), *remotes.values(), *(tag.sha for tag in tags.values()), *refs]
    checked_out = head.out.decode().strip() or None
    if checked_out:
        tips.append(checked_out)
    return History(_read_commits(git, tips), tags, heads, remotes, checked_out)


def _read_commits(git: Git, tips: Sequence[str]) -> list[Commit]:
    if not tips:
        return []
    wanted = "\n".join(dict.fromkeys(tips)).encode() + b"\n"
    output = git.run(
        *("log", "--stdin", "--topo-order", "-z", "--encoding=UTF-8", "--no-patch", f"--format=tformat:{_COMMIT}"),
        stdin=wanted,
    ).out
    fields = _decode(output)
    del fields[-1]  # after the last record's NUL
    records = zip(*[iter(fields)] * _COMMIT_FIELDS, strict=True)
    return [
        Commit(sha, tuple(parents.split()), int(authored), int(committed), message.strip("\n"))
        for sha, parents, authored, committed, message in records
    ]


def _decode(output: bytes) -> list[str]:
    """Fields as text. Git re-encodes what names its encoding; a message in Latin-1 that does not is read as that."""
    try:
        return output.decode().split("\0")
    except UnicodeDecodeError:
        return [_decode_field(field) for field in output.split(b"\0")]


def _decode_field(field: bytes) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError:
        return field.decode("latin-1")
