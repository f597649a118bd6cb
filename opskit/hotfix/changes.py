"""What a hotfix changes against the release it repairs: its tests, its code, and the lines of both."""

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from opskit.config import Config
from opskit.git.runner import Git
from opskit.release.plan_versions import split

_HUNK = re.compile(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True, slots=True)
class Changes:
    """Files by what they are; `lines` counts added and removed lines of each file that is neither test nor record."""

    tests: tuple[str, ...]  # new or changed under `test_globs`
    lines: Mapping[str, int]
    binary: tuple[str, ...]

    @property
    def total(self) -> int:
        """Changed lines in all."""
        return sum(self.lines.values())


def changes(git: Git, config: Config, before: str, after: str) -> Changes:
    """Compare two commits; tests, changelog and version files do not count towards the lines."""
    records = {config.changelog, *(split(entry)[0] for entry in config.version_files)}
    tests, lines, binary = [], {}, []
    listed = git.text("diff-tree", "-r", "-z", "--no-renames", "--numstat", "--no-commit-id", before, after)
    gone = set(
        git.text("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=D", before, after).split("\0")
    )
    for entry in filter(None, listed.split("\0")):
        added, removed, path = entry.split("\t", 2)
        if is_test(path, config):
            if path not in gone:
                tests.append(path)
        elif path not in records:
            if added == "-":
                binary.append(path)
            lines[path] = 0 if added == "-" else int(added) + int(removed)
    return Changes(tuple(tests), lines, tuple(binary))


def is_test(path: str, config: Config) -> bool:
    """True if *path* matches one of `test_globs`; `**` spans folders, a glob without a slash matches in any folder."""
    return any(_matches(path, glob) for glob in config.hotfix.test_globs)


def _matches(path: str, glob: str) -> bool:
    if "/" not in glob:
        return fnmatch.fnmatchcase(path.rpartition("/")[2], glob)
    pattern = "(?s)" + "".join(_PARTS.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*\*|\*|\?)", glob))
    return re.fullmatch(pattern, path) is not None


_PARTS = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}


def changed_lines(git: Git, before: str, after: str, paths: Iterable[str]) -> dict[str, set[int]]:
    """The numbers of the lines that are new or changed in *after*, by file."""
    found = {}
    for path in paths:
        diff = git.run("diff", "--no-color", "--no-ext-diff", "--no-renames", "-U0", before, after, "--", path).out
        numbers: set[int] = set()
        for hunk in _HUNK.finditer(os.fsdecode(diff)):
            start, count = int(hunk[1]), int(hunk[2] or 1)
            numbers.update(range(start, start + count))
        found[path] = numbers
    return found
