"""What a commit message says: Conventional Commits 1.0.0, reverts, squash bodies and trailers."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

GROUPS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")  # Keep a Changelog's, in its order
_GROUP_OF = {
    "feat": "Added",
    "fix": "Fixed",
    "perf": "Changed",
    "revert": "Removed",
    "deprecate": "Deprecated",
    "security": "Security",
}
# Types that may begin a change inside a squash body; any other word with a colon there is prose.
_IN_BODY = frozenset(_GROUP_OF) | {"refactor", "docs", "test", "build", "ci", "chore", "style"}
# What looks like a story key and is the name of a standard, a weakness or an incident.
_NO_STORY = ("AES-", "CVE-", "CWE-", "GHSA-", "HTTP-", "INC-", "ISO-", "PEP-", "RFC-", "SHA-", "UTF-")

_HEADER = re.compile(r"([A-Za-z][\w-]*)(?:\(([^()]*[^()\s][^()]*)\))?(!)?:\s+(\S.*)", re.DOTALL)
_GIT_REVERT = re.compile(r'(Revert|Reapply) "(.+)"(?:\s*\(#\d+\))?', re.DOTALL)
_REVERTED = re.compile(
    r"\bThis reverts commit\s+([0-9a-f]{7,64})\b(?:,\s+reversing\s+changes\s+made\s+to\s+([0-9a-f]{7,64})\b)?"
)
_PULL_REQUEST = re.compile(r"\s*\([#!]\d+\)$")
_SHA = re.compile(r"\b[0-9a-f]{7,64}\b")
_TRAILER = re.compile(r"(BREAKING CHANGE|[A-Za-z][A-Za-z0-9-]*)(?::\s*| (?=#))(.*)", re.DOTALL)
_BULLET = re.compile(r"[*+-] +(?=\S)")
_LIKE_A_KEY = re.compile(r"[A-Z0-9]-\d")
_KEY = re.compile(r"[A-Z][A-Z0-9]*-\d+")
_USER_STORY = re.compile(r"\bUS-\d+\b")
_BRACKETS = re.compile(r"\s*[(\[]([A-Z][^()\[\]]*)[)\]]:?")
_LEADING_STORY = re.compile(r"^(US-\d+)\s*[:–—-]?\s+(?=\S)")
_BETWEEN_KEYS = re.compile(r"[\s,;/&]+")
_MEANT = frozenset({"refs", "points", "changelog"})
# Without one of these in a body no trailer and no revert is to be looked for in it.
_WORDS_THAT_COUNT = ("refs", "points", "changelog", "breaking", "this reverts commit")
_GIT_SQUASH = "Squashed commit of the following:"
_NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,6})?")


class Change(NamedTuple):
    """One change a commit makes; `type` is "" for a plain subject."""

    type: str
    scope: str
    breaking: bool
    text: str
    stories: tuple[str, ...] = ()
    points: float | None = None
    note: str = ""  # what a `Changelog:` trailer puts in the line's place
    skip: bool = False  # `Changelog: skip`
    reverts: tuple[str, ...] = ()  # ids of commits, perhaps abbreviated
    reverts_back_to: str = ""  # of a reverted merge: the parent whose state came back
    reverts_subject: str = ""  # the subject it takes back, where the message quotes it

    @property
    def group(self) -> str | None:
        """The Keep a Changelog group of its line; None: it is left out."""
        if named := _GROUP_OF.get(self.type):
            return named
        return "Changed" if self.breaking or self.note else None

    @property
    def security(self) -> bool:
        """True for `fix(security)`, whose line says so."""
        return self.type == "fix" and "security" in re.split(r"[^\w-]+", self.scope.lower())


@dataclass(slots=True)
class _Part:
    """A subject and the lines under it: a whole message, or one commit in the body of a squash."""

    subject: str
    bulleted: bool
    lines: list[str]


def parse(message: str, *, is_merge: bool = False) -> list[Change]:
    """The changes of a commit: one, or for a squash one per subject found in its body. Never empty.

    The subject's own change comes first; a plain subject above changes of a body is dropped. The body of a merge
    (*is_merge*) is not split, for what it lists are commits of the graph. Raises nothing: what does not follow
    Conventional Commits is a plain subject.
    """
    subject, _, body = message.replace("\r\n", "\n").strip().partition("\n")
    if not body:
        return [_change(subject)]
    if subject == _GIT_SQUASH or body.lstrip("\n").startswith(_GIT_SQUASH):
        body = "\n".join(line[4:] if line.startswith("    ") else "" for line in body.split("\n"))
    parts = [_Part(subject, bulleted=False, lines=[])]
    if is_merge or (":" not in body and '"' not in body):
        parts[0].lines = body.split("\n")
    else:
        parts = _split(parts[0], body)
    folded = body.lower()
    if any(word in folded for word in _WORDS_THAT_COUNT):
        return _changes(parts)
    return _significant([_change(part.subject) for part in parts])


def _split(first: _Part, body: str) -> list[_Part]:
    """The parts of a message, *first* being its subject's."""
    parts = [first]
    lines = first.lines
    after_blank = False
    for line in body.split("\n"):
        if ":" not in line and '"' not in line:  # most of prose
            lines.append(line)
            after_blank = not line or line.isspace()
            continue
        bullet = _BULLET.match(line)
        text = line[bullet.end() :] if bullet else line
        if (bullet or after_blank) and _begins_change(text, bulleted=bullet is not None):
            lines = []
            parts.append(_Part(text, bulleted=bullet is not None, lines=lines))
        else:
            lines.append(line)
        after_blank = False
    return _settled(parts) if len(parts) > 1 else parts


def same_subject(subject: str) -> str:
    """A subject in the form in which it is compared with one that a revert quotes: without `(#12)` at its end."""
    subject = " ".join(subject.split())
    return _PULL_REQUEST.sub("", subject) if subject.endswith(")") else subject


def _change(subject: str) -> Change:
    """The change that one subject line describes."""
    if subject.startswith(("Revert ", "Reapply ")) and (quoted := _GIT_REVERT.fullmatch(subject.strip())):
        return _git_revert(quoted[1], quoted[2])
    header = _HEADER.match(subject)
    if not header:
        text, stories = _stories(_clean(subject))
        return Change("", "", False, text, stories)
    kind, scope, bang, rest = header.groups("")
    kind = kind.lower()
    reverts_subject = ""
    if kind == "revert":
        reverts_subject = rest
        inner = _HEADER.match(rest)
        if inner and inner[1].lower() in _IN_BODY:
            scope, rest = inner[2] or scope, inner[4]
    text, stories = _stories(_clean(rest))
    if "-" in scope:
        stories = tuple(dict.fromkeys((*(key for key in _BETWEEN_KEYS.split(scope) if _is_story(key)), *stories)))
    return Change(kind, scope, bool(bang), text, stories, reverts_subject=reverts_subject)


def _git_revert(word: str, subject: str) -> Change:
    """Git's own `Revert "…"` and `Reapply "…"`, nested as often as people changed their minds."""
    reverts_subject = subject if word == "Revert" else f'Revert "{subject}"'
    removed = word == "Revert"
    while nested := _GIT_REVERT.fullmatch(subject.strip()):
        removed ^= nested[1] == "Revert"
        subject = nested[2]
    change = _change(subject)._replace(reverts_subject=reverts_subject)
    if removed:  # taking back what was no line in the changelog is none either
        change = change._replace(type="revert" if change.group else "", breaking=False)
    return change


def _begins_change(line: str, *, bulleted: bool) -> bool:
    """Whether *line* of a squash body is the subject of one of its commits."""
    if ":" not in line and not line.startswith(("Revert ", "Reapply ")):
        return False
    if _GIT_REVERT.fullmatch(line.strip()):
        return True
    header = _HEADER.match(line)
    if header is None:
        return False
    kind = header[1].lower() if bulleted else header[1]  # `Fix: see below` in prose begins with a capital
    return kind in _IN_BODY


def _settled(parts: Sequence[_Part]) -> list[_Part]:
    """Inside one squash a subject said twice is one, and a change and its revert cancel out; the first part stays."""
    kept: dict[str, _Part] = {}
    first = same_subject(parts[0].subject)
    for part in parts:
        subject = same_subject(part.subject)
        if subject in kept:
            kept[subject].lines += ["", *part.lines]
            continue
        reverted = same_subject(_change(part.subject).reverts_subject) if "evert" in subject else ""
        if reverted in kept and reverted != first:
            del kept[reverted]
        else:
            kept[subject] = part
    return list(kept.values())


def _changes(parts: Sequence[_Part]) -> list[Change]:
    """The changes of the parts of a message, each with its trailers.

    Under a list of bullets the last trailers are the whole commit's, unless earlier bullets have their own.
    """
    trailers = [list(_trailers(part.lines)) if part.lines else [] for part in parts]
    shared: list[tuple[str, str]] = []
    if parts[-1].bulleted and not any(trailers[1:-1]):
        shared, trailers[-1] = trailers[-1], []
        trailers[0] += [trailer for trailer in shared if trailer[0] != "refs"]
    stories = [trailer for trailer in shared if trailer[0] == "refs"]
    changes = [
        _with_trailers(_change(part.subject), [*own, *stories], part.lines)
        for part, own in zip(parts, trailers, strict=True)
    ]
    if parts[-1].bulleted and changes[0].skip:
        return [change._replace(skip=True) for change in changes]
    if parts[-1].bulleted and changes[0].note:  # it replaces all the lines of the commit
        return changes[:1]
    return _significant(changes)


def _significant(changes: list[Change]) -> list[Change]:
    """*changes* without a plain subject that only announces what the body lists."""
    first = changes[0]
    plain = first.group is None and not (first.type or first.skip or first.reverts)
    return changes[1:] if plain and len(changes) > 1 else changes


def _with_trailers(change: Change, trailers: Iterable[tuple[str, str]], lines: Sequence[str]) -> Change:
    stories = dict.fromkeys(change.stories)
    values: dict[str, Any] = {}
    reverts: list[str] = []
    for token, value in trailers:
        match token:
            case "refs":
                stories.update(dict.fromkeys(key for key in _BETWEEN_KEYS.split(value) if _is_story(key)))
                reverts += _SHA.findall(value) if change.type == "revert" else []
            case "points":
                if number := _NUMBER.fullmatch(value):
                    values["points"] = float(number[0])
            case "changelog" if value.lower() == "skip":
                values["skip"] = True
            case "changelog":
                values["note"] = value
            case _:
                values["breaking"] = True
    if any("This reverts commit" in line for line in lines):
        found = [match.groups(default="") for match in _REVERTED.finditer("\n".join(lines))]
        reverts += [sha for sha, _ in found]
        values["reverts_back_to"] = found[0][1] if found else ""
    return change._replace(stories=tuple(stories), reverts=tuple(dict.fromkeys(reverts)), **values)


def _trailers(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The trailers of a body that mean something here, as (token in lower case, value); `breaking` has no value.

    They stand in the last paragraph or in one that begins with a trailer; `BREAKING CHANGE:` may begin any line.
    """
    paragraphs = [list(group) for text, group in groupby(lines, key=_has_text) if text]
    for at, paragraph in enumerate(paragraphs):
        counts = at == len(paragraphs) - 1 or _TRAILER.match(paragraph[0]) is not None
        name, value = "", ""
        for line in paragraph:
            if line[0] in " \t" and name:  # folded: it goes on
                value += line
                continue
            if name:
                yield name, _clean(value)
            found = _TRAILER.match(line)
            name, value = (found[1], found[2]) if found else ("", "")
            if name in {"BREAKING CHANGE", "BREAKING-CHANGE"}:
                name = "breaking"
            else:
                name = name.lower() if counts and name.lower() in _MEANT else ""
        if name:
            yield name, _clean(value)


def _has_text(line: str) -> bool:
    return line != "" and not line.isspace()


def _stories(text: str) -> tuple[str, tuple[str, ...]]:
    """*text* without the stories that open or close it or stand in brackets, and all its stories."""
    if not _LIKE_A_KEY.search(text):
        return text, ()
    found: list[str] = []

    def take(match: re.Match[str]) -> str:
        keys = [key for key in _BETWEEN_KEYS.split(match[1].strip()) if key]
        if not keys or not all(map(_is_story, keys)):
            return match[0]
        found.extend(keys)
        return ""

    rest = _LEADING_STORY.sub(take, _BRACKETS.sub(take, text).strip(), count=1)
    found += _USER_STORY.findall(rest)
    return rest.strip() or text, tuple(dict.fromkeys(found))


def _is_story(word: str) -> bool:
    return _KEY.fullmatch(word) is not None and not word.startswith(_NO_STORY)


def _clean(text: str) -> str:
    """One line without control characters: a commit message must not steer the terminal or break a list."""
    text = " ".join(text.split())
    if text.isprintable():
        return text
    return "".join(char for char in text if unicodedata.category(char) not in {"Cc", "Cs"}).strip()
