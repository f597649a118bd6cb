"""A CHANGELOG that changed on main and on develop, settled by its structure and not by its lines.

A merge by lines is not only a source of conflicts: it can succeed and be wrong, because a line that develop added
below one that main has since released lands in the released section.
"""

from collections.abc import Sequence

from opskit.errors import HalfWay
from opskit.release import document
from opskit.release.document import Block, Document, Style


class Unsettled(HalfWay):
    """The changelogs have no section of any version, so that there is no structure to settle them by."""

    def __init__(self) -> None:
        super().__init__("the changelog has no section of any version to merge by", remedy="merge it by hand")


def merge(main: bytes, develop: bytes, base: bytes) -> bytes:
    """The changelog of a back-merge: released sections from *main*, Unreleased from *develop*.

    Lines of develop's Unreleased that main has released meanwhile leave it; a line that only main's Unreleased has
    got is kept. What one side alone changed since *base* is taken from that side, section by section. Sections of
    develop that main never had stay, in their place by version. Raises `Unsettled`, `UsageFault` (UTF-16).
    """
    if develop == base or main == base:  # one side alone changed it
        return main if develop == base else develop
    ours, theirs, old = document.read(develop), document.read(main), document.read(base)
    if not ours.blocks or not theirs.blocks:
        raise Unsettled
    ends = [file.blocks[-1] for file in (ours, theirs)]
    for block in theirs.blocks:
        block.heading, block.body = _broken_like(ours, block.heading), _broken_like(ours, block.body)
    unreleased = _unreleased(ours, theirs, old)
    result = Document(
        ours.mark,
        _of_three(ours.preamble, theirs.preamble, old.preamble, both=ours.preamble),
        [*([unreleased] if unreleased else []), *_released(ours, theirs, old)],
        _of_three(ours.foot, theirs.foot, old.foot, both=_both_feet(ours.foot, theirs.foot, old.foot)),
        ours.style,
    )
    for block in [block for block in result.blocks if block in ends]:  # what was last may lack the empty line
        document.set_apart(result, block)
    return result.to_bytes()


def _unreleased(ours: Document, theirs: Document, old: Document) -> Block | None:
    known = ours.unreleased or theirs.unreleased
    if known is None:
        return None
    block = Block("", known.heading, list(known.body))
    fresh = [released for released in theirs.blocks if released.version and not old.find(released.version)]
    released_lines = {item.text for released in fresh for item in document.items(released.body)}
    _drop(block, released_lines, ours.style)
    if theirs.unreleased and ours.unreleased:
        seen = {item.text for file in (ours, old) if file.unreleased for item in document.items(file.unreleased.body)}
        _add_unseen(block, theirs.unreleased, seen, ours.style)
    return block


def _drop(block: Block, gone: set[str], style: Style) -> None:
    """Take the items *gone* out of *block*, and the groups that this empties."""
    filled = {name for name, at, end in _groups(block, style) if any(line.strip() for line in block.body[at + 1 : end])}
    for item in reversed(list(document.items(block.body))):
        if item.text in gone:
            del block.body[item.start : item.end]
    for name, at, end in reversed(_groups(block, style)):
        if name in filled and not any(line.strip() for line in block.body[at + 1 : end]):
            del block.body[at:end]
    if not any(line.strip() for line in block.body):
        block.body = [style.eol]


def _add_unseen(block: Block, other: Block, seen: set[str], style: Style) -> None:
    """Add to *block* the items of *other* that are not among *seen*, each to its group."""
    headings = _groups(other, style)
    for name, at, end in [("", -1, headings[0][1] if headings else len(other.body)), *headings]:
        inside = other.body[at + 1 : end]
        unseen = [
            line for item in document.items(inside) if item.text not in seen for line in inside[item.start : item.end]
        ]
        if unseen:
            document.add(block, name.capitalize(), head=(), tail=unseen, before=(), style=style)


def _groups(block: Block, style: Style) -> list[tuple[str, int, int]]:
    return document.groups(block.body, level=style.level + 1)


def _released(ours: Document, theirs: Document, old: Document) -> list[Block]:
    blocks = []
    for block in theirs.blocks:
        mine, was = ours.find(block.version), old.find(block.version)
        untouched = mine is not None and was is not None and _text(was) == _text(block)
        if block.version:
            blocks.append(mine if untouched and mine else block)
    for block in ours.blocks:
        was = old.find(block.version)
        taken_out = was is not None and _text(was) == _text(block)
        if block.version and theirs.find(block.version) is None and not taken_out:
            blocks.insert(document.place(blocks, block.version), block)
    return blocks


def _text(block: Block) -> list[str]:
    return [line.rstrip("\r\n") for line in document.trimmed(block.lines)]


def _broken_like(file: Document, lines: Sequence[str]) -> list[str]:
    """*lines* with the line breaks of *file*."""
    return [line.rstrip("\r\n") + file.style.eol if line.endswith("\n") else line for line in lines]


def _of_three(ours: list[str], theirs: list[str], old: list[str], *, both: list[str]) -> list[str]:
    """What one side alone changed; *both* if both did."""
    if ours == old:
        return theirs
    return ours if theirs == old else both


def _both_feet(ours: list[str], theirs: list[str], old: list[str]) -> list[str]:
    """Link definitions of both sides: main's where develop did not touch them, and those that only main has."""
    of_main = {_label(line): line for line in theirs if line.strip()}
    own = {_label(line) for line in ours}
    kept = [of_main.get(_label(line), line) if line in old else line for line in ours]
    return kept + [line for label, line in of_main.items() if label not in own]


def _label(definition: str) -> str:
    return definition.partition("]:")[0].strip().lower()
