"""A CHANGELOG file as lines in blocks, so that one block can be edited and every other byte stays."""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from semver import Version

from opskit.errors import UsageFault
from opskit.release.versions import precedence

_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_DATE = r"\d{4}-\d{2}-\d{2}"
_TITLE = re.compile(
    rf"""(?P<open>\[?)(?P<prefix>(?:version[ ]|release[ ]|[\w.-]*?[@/_-])?v?)
    (?P<version>\d+\.\d+(?:\.\d+)?(?:-[0-9a-z.-]+)?(?:\+[0-9a-z.-]+)?|unreleased)
    (?P<close>\]?)(?P<link>\([^)\s]*\)|\[[^\]]*\])?(?=$|[\s(,:–—-])(?P<between>.*?(?={_DATE})|)(?P<date>{_DATE})?(?P<after>.*)""",
    re.IGNORECASE | re.VERBOSE,
)
_FENCE = re.compile(r"\s*(?:[-*+] +|\d+[.)] +)*(`{3,}|~{3,})")
_LINK = re.compile(r" {0,3}\[[^\]\s][^\]]*\]:\s*\S")
_ITEM = re.compile(r"( {0,3})([-*+])([ \t]+)(?=\S)")
_FOREIGN_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Style:
    """How this file writes its headings and lists; the defaults are Keep a Changelog's."""

    eol: str = "\n"
    bullet: str = "-"
    level: int = 2
    before_version: str = "["
    after_version: str = "]"
    before_date: str = " - "
    after_date: str = ""
    blank_after_heading: bool = True
    blank_after_group: bool = True

    def heading(self, version: str, made: str) -> str:
        """The heading line of a release."""
        closing = f"{self.before_date}{made}{self.after_date}" if made else ""
        return f"{'#' * self.level} {self.before_version}{version}{self.after_version}{closing}{self.eol}"

    def item(self, markdown: str) -> str:
        """The line of a list item."""
        return f"{self.bullet} {markdown}{self.eol}"

    def group(self, name: str) -> list[str]:
        """The heading lines of a group."""
        return [f"{'#' * (self.level + 1)} {name}{self.eol}", *([self.eol] if self.blank_after_group else [])]


@dataclass(slots=True)
class Block:
    """The section of one version, or of what is unreleased (`version` is "")."""

    version: str
    heading: list[str]
    body: list[str]

    @property
    def lines(self) -> list[str]:
        """All its lines, line breaks included."""
        return self.heading + self.body


@dataclass(slots=True)
class Item:
    """A list item of the first level with all that hangs under it: lines `start` to `end` of a body."""

    start: int
    end: int
    text: str  # in the form in which items are compared


@dataclass(slots=True)
class Document:
    """The whole file. Writing it back unchanged gives the same bytes."""

    mark: bytes
    preamble: list[str]
    blocks: list[Block]
    foot: list[str]  # the link definitions at the end
    style: Style = field(default_factory=Style)

    @property
    def unreleased(self) -> Block | None:
        """The block of what is unreleased."""
        return self.find("")

    def find(self, version: str) -> Block | None:
        """The block of *version*; "" is what is unreleased."""
        return next((block for block in self.blocks if block.version == version), None)

    def to_bytes(self) -> bytes:
        """The file."""
        lines = [*self.preamble, *(line for block in self.blocks for line in block.lines), *self.foot]
        return self.mark + "".join(lines).encode("utf-8", "surrogateescape")


def read(content: bytes) -> Document:
    """Take a file apart. Bytes that are no UTF-8 are kept as they are; raises `UsageFault` on UTF-16."""
    if content.startswith(_FOREIGN_MARKS):
        raise UsageFault("the changelog is in UTF-16", remedy="save it as UTF-8")
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    lines = _lines(content[len(mark) :].decode("utf-8", "surrogateescape"))
    headings = list(_version_headings(lines))
    foot_at = _foot_start(lines)
    starts = [at for at, _, _ in headings if at < foot_at]
    blocks = [
        Block(version, lines[at : at + height], lines[at + height : end])
        for (at, height, version), end in zip(headings, [*starts[1:], foot_at], strict=False)
    ]
    preamble = lines[: starts[0] if starts else foot_at]
    return Document(mark, preamble, blocks, lines[foot_at:], _style(lines, blocks))


def items(body: Sequence[str]) -> Iterator[Item]:
    """The list items of the first level in *body*, in order."""
    start, indent, end = -1, 0, 0
    for at, line in enumerate(body):
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip(" "))
        bullet = _ITEM.match(line)
        inside = start >= 0 and (depth >= indent if bullet else depth >= indent or (end == at and not _ATX.match(line)))
        if start >= 0 and not inside:
            yield Item(start, end, comparable("".join(body[start:end])))
            start = -1
        if bullet and not inside:
            start, indent = at, bullet.end()
        end = at + 1  # a line right below an item's goes on with it even without indentation, as in CommonMark
    if start >= 0:
        yield Item(start, end, comparable("".join(body[start:end])))


def groups(body: Sequence[str], *, level: int) -> list[tuple[str, int, int]]:
    """The groups in *body* as (name in lower case, line of the heading, line after the last)."""
    found = [(title.strip().lower(), at) for at, depth, title in _atx_headings(body) if depth == level]
    ends = [at for _, at in found[1:]] + [len(body)]
    return [(name, at, end) for (name, at), end in zip(found, ends, strict=False)]


def comparable(item: str) -> str:
    """A list item without bullet, breaks and case."""
    bullet = _ITEM.match(item)
    return " ".join(item[bullet.end() if bullet else 0 :].split()).casefold()


def trimmed(lines: Sequence[str]) -> list[str]:
    """*lines* without the blank ones at the end."""
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    return list(lines[:end])


def place(blocks: Sequence[Block], version: str) -> int:
    """Where among *blocks* a new one for *version* goes: before the first lower version; "" (unreleased) first."""
    if not version:
        return 0
    wanted = _rank(version)
    return next((at for at, block in enumerate(blocks) if block.version and _rank(block.version) < wanted), len(blocks))


def add(
    block: Block, name: str, *, head: Sequence[str], tail: Sequence[str], before: Sequence[str], style: Style
) -> None:
    """Put list items, as lines, at the head and the tail of the group *name* of *block*.

    A group that is missing is made in front of the first of the groups *before*, else at the end. Name "" is what
    stands in front of all groups.
    """
    _end_line(block.heading, len(block.heading) - 1, style)
    body = block.body
    there = groups(body, level=style.level + 1)
    lead = ("", -1, there[0][1] if there else len(body))
    found = next((group for group in [lead, *there] if group[0] == name.lower()), None)
    if found is None:
        _add_group(block, name, [*head, *tail], before, style)
        return
    _, heading, end = found
    start = heading + 1
    last = start + len(trimmed(body[start:end]))
    if last == start:  # nothing under the heading but blank lines
        spaced = style.blank_after_group if name else style.blank_after_heading
        blanks = body[start:end] or [style.eol]
        below = (blanks[1:] if spaced else blanks) or [style.eol]
        if heading >= 0:
            _end_line(body, heading, style)
        body[start:end] = [*(blanks[:1] if spaced else []), *head, *tail, *(below if end < len(body) else below[:-1])]
        return
    _end_line(body, last - 1, style)
    first = start + next((item.start for item in items(body[start:end])), last - start)
    body[last:last] = tail
    body[first:first] = head


def _add_group(block: Block, name: str, lines: Sequence[str], before: Sequence[str], style: Style) -> None:
    body = block.body
    new = [*style.group(name), *lines]
    later = {title.lower() for title in before}
    at = next((at for title, at, _ in groups(body, level=style.level + 1) if title in later), None)
    if at is not None:
        body[at:at] = [*new, style.eol]
    elif text := trimmed(body):
        _end_line(body, len(text) - 1, style)
        body[len(text) : len(text)] = [style.eol, *new]
    else:
        block.body = [*([style.eol] if style.blank_after_heading else []), *new, *body[1:]]


def set_apart(file: Document, block: Block) -> None:
    """See to it that *block* has an empty line before it, and after it if anything follows."""
    at = file.blocks.index(block)
    if at:
        _end_with_blank(file.blocks[at - 1].heading, file.blocks[at - 1].body, file.style)
    elif file.preamble:
        _end_with_blank(file.preamble, file.preamble, file.style)
    if at + 1 < len(file.blocks) or file.foot:
        _end_with_blank(block.heading, block.body, file.style)


def _end_with_blank(heading: list[str], body: list[str], style: Style) -> None:
    last = body or heading
    _end_line(last, len(last) - 1, style)
    if last[-1].strip():
        body.append(style.eol)


def _end_line(lines: list[str], at: int, style: Style) -> None:
    """Give the last line of a file that ends without a line break one."""
    if not lines[at].endswith("\n"):
        lines[at] += style.eol


def _rank(version: str) -> tuple[object, ...]:
    try:
        return precedence(Version.parse(version, optional_minor_and_patch=True))
    except ValueError:
        return ()


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _outside_code(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The lines that are neither in a fenced block nor in an HTML comment, without their breaks.

    One that is never closed is taken for text, lest it swallow every section below it.
    """
    at = 0
    while at < len(lines):
        line = lines[at].rstrip("\r\n")
        if fence := _FENCE.match(line):
            closing = re.compile(rf"\s*{re.escape(fence[1])}[`~]*\s*$")
            close = next((end for end in range(at + 1, len(lines)) if closing.match(lines[end])), None)
        elif "<!--" in line and "-->" not in line[line.rindex("<!--") :]:
            close = next((end for end in range(at + 1, len(lines)) if "-->" in lines[end]), None)
        else:
            close = None
        if close is None:
            yield at, line
        at = (at if close is None else close) + 1


def _atx_headings(lines: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    for at, line in _outside_code(lines):
        if found := _ATX.match(line):
            yield at, len(found[1]), found[2]


def _version_headings(lines: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Where versions begin: (line, lines of the heading, version or "" for unreleased)."""
    first_level = 0
    outside = dict(_outside_code(lines))
    for at, line in outside.items():
        atx = _ATX.match(line)
        below = _SETEXT.match(outside.get(at + 1, "")) if not atx and line.strip() else None
        title = atx[2] if atx else line.strip() if below else ""
        found = _TITLE.match(title)
        if not found:
            continue
        level = len(atx[1]) if atx else 2
        if first_level and level > first_level and not found["date"]:
            continue  # a heading about another version inside a section
        first_level = first_level or level
        version = found["version"].lower()
        yield at, 1 if atx else 2, "" if version == "unreleased" else version


def _foot_start(lines: Sequence[str]) -> int:
    start = len(lines)
    for at in range(len(lines) - 1, -1, -1):
        if _LINK.match(lines[at]):
            start = at
        elif lines[at].strip():
            break
    return start


def _style(lines: Sequence[str], blocks: Sequence[Block]) -> Style:
    breaks = sum(line.endswith("\n") for line in lines)
    style = Style(eol="\r\n" if sum(line.endswith("\r\n") for line in lines) * 2 > breaks else "\n")
    released = [block for block in blocks if block.version]
    if sample := next(iter(released or blocks), None):
        style = _heading_style(style, sample.heading[0].rstrip("\r\n"))
    if first := next((block for block in released if block.body), None):
        style = replace(style, blank_after_heading=not first.body[0].strip())
    bodies = [block.body for block in blocks]
    spaced = [
        not body[at + 1].strip()
        for body in bodies
        for _, at, end in groups(body, level=style.level + 1)
        if trimmed(body[at + 1 : end])
    ]
    bullets = [found[2] for body in bodies for line in body if (found := _ITEM.match(line))]
    return replace(
        style,
        blank_after_group=spaced[0] if spaced else style.blank_after_group,
        bullet=bullets[0] if bullets else style.bullet,
    )


def _heading_style(style: Style, heading: str) -> Style:
    atx = _ATX.match(heading)
    found = _TITLE.match(atx[2] if atx else heading.strip())
    if found is None:
        return style
    style = replace(
        style,
        level=len(atx[1]) if atx else style.level,
        before_version=found["open"] + found["prefix"],
        after_version=found["close"],
    )
    if not found["date"] or len(found["between"]) > len(style.before_date):
        return style
    return replace(style, before_date=found["between"], after_date=")" if found["after"].startswith(")") else "")
