"""The notes of one release, from its commits, and their Markdown."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from opskit.git.history import Commit
from opskit.release.changes import surviving
from opskit.release.commits import GROUPS, Change

UNRELEASED = "Unreleased"

_CODE = re.compile(r"(`+)(?!`)(.*?)(?<!`)\1(?!`)")
# What Markdown or HTML would read as its own, outside code; `_` only at the edge of a word, where it can emphasise.
_SPECIAL = re.compile(r"[\\`*\[\]<]|(?<![^\W_])_|_(?![^\W_])|~(?=~)|&(?=#?\w+;)")
_BLOCK_START = re.compile(r"(?:#{1,6}|[-+])(?=\s|$)|>|~~~|(?:-\s*){3,}$")
_NUMBERED = re.compile(r"(\d{1,9})([.)])(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the notes. `text` is plain text, not Markdown."""

    text: str
    sha: str
    stories: tuple[str, ...] = ()
    breaking: bool = False
    security: bool = False

    @property
    def said(self) -> str:
        """The text with its marks, without the stories."""
        return f"{'Breaking: ' if self.breaking else ''}{self.text}{' (Security)' if self.security else ''}"

    @property
    def markdown(self) -> str:
        """The list item, without its bullet."""
        mark = "**Breaking:** " if self.breaking else ""
        stories = [story for story in self.stories if story not in self.text]
        closing = f" ({', '.join(stories)})" if stories else ""
        return f"{mark}{escape(self.text)}{closing}{' (Security)' if self.security else ''}"

    def as_json(self) -> dict[str, Any]:
        """`{text, sha, stories}`."""
        return {"text": self.said, "sha": self.sha, "stories": list(self.stories)}


@dataclass(frozen=True, slots=True)
class Section:
    """The notes of one release; `version` has no tag prefix, and is `Unreleased` without a date for what is not out."""

    version: str
    date: date | None
    groups: Mapping[str, tuple[Entry, ...]]  # in Keep a Changelog's order, none of them empty
    left_out: int = 0  # commits of other types and with plain subjects

    def as_json(self) -> dict[str, Any]:
        """`{version, date, groups:{Added:[{text,sha,stories}]}}`."""
        groups = {name: [entry.as_json() for entry in entries] for name, entries in self.groups.items()}
        return {"version": self.version, "date": self.date.isoformat() if self.date else None, "groups": groups}


def section(version: str, made: date | None, commits: Sequence[Commit]) -> Section:
    """The notes of *commits* (a child before its parents), oldest first in each group, breaking changes before all."""
    groups: dict[str, list[Entry]] = {name: [] for name in GROUPS}
    left_out = 0
    for commit, changes in reversed(surviving(commits).kept):
        lines = [(change.group, _entry(commit, change)) for change in changes if change.group and not change.skip]
        for group, entry in lines:
            groups[group].append(entry)
        if not lines and not any(change.skip for change in changes):
            left_out += 1
    ordered = {
        name: tuple(sorted(entries, key=lambda entry: not entry.breaking))
        for name, entries in groups.items()
        if entries
    }
    return Section(version, made, ordered, left_out)


def day(made_s: int) -> date:
    """The day of a release, in UTC like `SOURCE_DATE_EPOCH`, so that it is the same wherever it is asked for."""
    return datetime.fromtimestamp(made_s, UTC).date()


def _entry(commit: Commit, change: Change) -> Entry:
    text = change.note or _capitalised(change.text)
    return Entry(text, commit.sha, change.stories, breaking=change.breaking, security=change.security)


def _capitalised(text: str) -> str:
    """A sentence begins with a capital, unless its first word is a name written otherwise (`iOS`, `chat.v1`)."""
    word = text.partition(" ")[0].rstrip(",:;").replace("-", "").replace("'", "")
    if not (word.isalpha() and word.islower()):
        return text
    first = text[0].upper()
    return first + text[1:] if len(first) == 1 else text


def render(notes: Section, *, bullet: str = "-") -> str:
    """The section as Markdown, heading first, with one line break at its end."""
    heading = f"## [{notes.version}]" + (f" - {notes.date.isoformat()}" if notes.date else "")
    groups = [
        f"### {name}\n\n" + "\n".join(f"{bullet} {entry.markdown}" for entry in entries)
        for name, entries in notes.groups.items()
    ]
    return "\n\n".join([heading, *groups]) + "\n"


def escape(text: str) -> str:
    """*text* so that Markdown shows it as it is; pairs of backticks stay code, as the author meant them."""
    parts: list[str] = []
    at = 0
    for code in _CODE.finditer(text):
        parts += (_escaped(text[at : code.start()]), code[0])
        at = code.end()
    parts.append(_escaped(text[at:]))
    line = "".join(parts)
    if _BLOCK_START.match(line):
        return f"\\{line}"
    numbered = _NUMBERED.match(line)
    return f"{numbered[1]}\\{line[numbered.end(1) :]}" if numbered else line


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
