"""The commits, merges and tags of a plan, as git objects that nothing refers to yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from opskit.config import Config
from opskit.errors import UsageFault
from opskit.git import objects
from opskit.git.objects import Signature
from opskit.git.runner import Git
from opskit.release.changelog import insert_release
from opskit.release.merge import Unsettled
from opskit.release.merge import merge as merge_changelogs
from opskit.release.notes import Section
from opskit.release.plan import MergeConflict
from opskit.release.plan_versions import read_version, split, write_version
from opskit.release.versions import Version, precedence


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Makes the objects of one plan, all of them with the same moment.

    `settled` holds what people made of conflicts: `OURS THEIRS` → tree.
    """

    git: Git
    config: Config
    signature: Signature
    settled: Mapping[str, str] = field(default_factory=dict)

    def released(self, parent: str, notes: Section | None, *, version: str, subject: str) -> str:
        """*parent* with the changelog's new section and the version in the version files; *parent* if neither moves.

        Raises `UsageFault` where a version file has no such key, or one of the files is no plain file.
        """
        names = self._special if notes else self._version_files
        before = dict(zip(names, objects.read_blobs(self.git, [f"{parent}:{name}" for name in names]), strict=True))
        after: dict[str, bytes] = {}
        if notes and self.config.changelog:
            after[self.config.changelog] = insert_release(before[self.config.changelog] or b"", notes)
        for entry in self.config.version_files:
            name = split(entry)[0]
            content = after.get(name, before[name]) or b""
            after[name] = write_version(content, entry, version)
        changed = {name: content for name, content in after.items() if content != before[name]}
        if not changed:
            return parent
        for name in objects.no_files(self.git, parent, list(changed)):
            raise UsageFault(
                f"{name} is a link or a folder, or a file where a folder should be: opskit writes plain files only",
                remedy="name the file itself under changelog or version_files",
            )
        tree = objects.edit_tree(self.git, parent, changed)
        return self._commit(tree, [parent], subject)

    def merge(self, ours: str, theirs: str, *, into: str, what: str, message: str) -> str:
        """A merge commit of *theirs* into *ours*, also where it could be fast-forwarded; *ours* if nothing is new.

        Changelog and version files are settled by structure. Raises `MergeConflict` for what is left.
        """
        base = self._base(ours, theirs)
        if base == theirs:
            return ours
        tree = self.settled.get(f"{ours} {theirs}")
        if tree is None and base == ours:
            tree = f"{theirs}^{{tree}}"
        if tree is None:
            tree = self._merged_tree(ours, theirs, base, into=into, what=what)
        return self._commit(tree, [ours, theirs], message)

    def tag(self, name: str, target: str, message: str) -> str:
        """An annotated tag object on commit *target*."""
        return objects.tag(self.git, name=name, target=target, message=message, signature=self.signature)

    def _commit(self, tree: str, parents: Sequence[str], message: str) -> str:
        return objects.commit(self.git, tree=tree, parents=parents, message=message, signature=self.signature)

    def _base(self, ours: str, theirs: str) -> str:
        """A merge base; "" if the two share no history."""
        return self.git.run("merge-base", ours, theirs, check=False).out.split(b"\n")[0].decode("ascii")

    def _merged_tree(self, ours: str, theirs: str, base: str, *, into: str, what: str) -> str:
        merged = objects.merge(self.git, ours, theirs)
        open_conflicts = {conflict.path: conflict for conflict in merged.conflicts}
        settled: dict[str, bytes] = {}
        for name in self._special:
            content = self._by_structure(name, ours, theirs, base, conflicted=name in open_conflicts)
            if content is not None:
                settled[name] = content
                open_conflicts.pop(name, None)
        if open_conflicts:
            paths = tuple(sorted(open_conflicts))
            raise MergeConflict(ours, theirs, into=into, what=what, paths=paths, settled=settled)
        return objects.edit_tree(self.git, merged.tree, settled)

    def _by_structure(self, name: str, ours: str, theirs: str, base: str, *, conflicted: bool) -> bytes | None:
        """What structure makes of a file that both sides changed; None where plain merging does as well."""
        sides = objects.read_blobs(self.git, [f"{base or ours}:{name}", f"{ours}:{name}", f"{theirs}:{name}"])
        old, mine, other = sides
        if mine is None or other is None or mine == other or old in (mine, other):
            return None
        if name == self.config.changelog:  # also where git saw no conflict: it may have filed lines under the release
            try:
                return merge_changelogs(other, mine, old or b"")
            except Unsettled:
                return None
        return self._higher_version(name, mine, other, old or b"") if conflicted else None

    def _higher_version(self, name: str, mine: bytes, other: bytes, old: bytes) -> bytes | None:
        """The three-way merge with the higher version on all sides; None where something else conflicts too."""
        for entry in self.config.version_files:
            if split(entry)[0] != name:
                continue
            version = higher(read_version(mine, entry), read_version(other, entry))
            mine, other = write_version(mine, entry, version), write_version(other, entry, version)
            old = write_version(old, entry, version) if old else old
        with TemporaryDirectory(prefix="opskit-merge-") as scratch:
            files = [Path(scratch, side) for side in ("mine", "old", "other")]
            for file, content in zip(files, (mine, old, other), strict=True):
                file.write_bytes(content)
            output = self.git.run("merge-file", "-p", *map(str, files), check=False)
        return output.out if output.code == 0 else None

    @property
    def _version_files(self) -> list[str]:
        return list(dict.fromkeys(split(entry)[0] for entry in self.config.version_files))

    @property
    def _special(self) -> list[str]:
        return list(dict.fromkeys([*filter(None, [self.config.changelog]), *self._version_files]))


def higher(one: str, other: str) -> str:
    """The higher of two versions by SemVer's precedence; one that is no SemVer is the lower."""
    return max(one, other, key=_rank)


def _rank(text: str) -> tuple[object, ...]:
    try:
        return (1, precedence(Version.parse(text)))
    except ValueError:
        return (0, text)
