"""The CHANGELOG file: a section is written into it, and nothing else in it changes."""

from collections.abc import Sequence

from opskit.release import document
from opskit.release.commits import GROUPS
from opskit.release.document import Block, Document, Style
from opskit.release.merge import Unsettled, merge
from opskit.release.notes import UNRELEASED, Entry, Section, render, section

__all__ = [
    "UNRELEASED",
    "Entry",
    "Section",
    "Unsettled",
    "insert_release",
    "merge",
    "render",
    "section",
    "write_all",
    "write_section",
]

_NEW = """\
# Changelog

What users notice, per release. The format is [Keep a Changelog](https://keepachangelog.com/en/1.1.0/), the versions are
[SemVer](https://semver.org/).

## [Unreleased]
"""


def insert_release(content: bytes, notes: Section) -> bytes:
    """The file *content* with the release *notes*; what stood under Unreleased moves into it, hand-written or not.

    Lines that are there already are not repeated. A section of that version that exists is completed instead, and
    Unreleased left alone. An empty file gets a title. Raises `UsageFault` if the file is not text in UTF-8.
    """
    file = document.read(content or _NEW.encode())
    if file.find(notes.version):
        return write_section(content, notes)
    body: list[str] = []
    if unreleased := file.unreleased:
        body = _without_empty_groups(unreleased.body, file.style)
        unreleased.body = [file.style.eol]
    _put_new_block(file, notes, body)
    return file.to_bytes()


def write_section(content: bytes, notes: Section) -> bytes:
    """The file *content* with the section *notes* completed, or put in its place by version if it is missing.

    Unlike `insert_release` it releases nothing: what stands under Unreleased stays there.
    """
    file = document.read(content or _NEW.encode())
    _write(file, notes)
    return file.to_bytes()


def write_all(content: bytes, sections: Sequence[Section]) -> bytes:
    """The file *content* with all *sections*; a release that has one there already keeps it as people wrote it."""
    file = document.read(content or _NEW.encode())
    for notes in sections:
        version = _version_in_file(notes)
        if not version or file.find(version) is None:
            _write(file, notes)
    return file.to_bytes()


def _write(file: Document, notes: Section) -> None:
    block = file.find(_version_in_file(notes))
    if block is None:
        _put_new_block(file, notes, [])
    elif missing := _missing(block, notes):
        for name, entries in missing.items():
            _add(block, name, entries, file.style)
        document.set_apart(file, block)


def _put_new_block(file: Document, notes: Section, body: list[str]) -> None:
    made = notes.date.isoformat() if notes.date else ""
    block = Block(_version_in_file(notes), [file.style.heading(notes.version, made)], body)
    file.blocks.insert(document.place(file.blocks, block.version), block)
    for name, entries in _missing(block, notes).items():
        _add(block, name, entries, file.style)
    document.set_apart(file, block)


def _version_in_file(notes: Section) -> str:
    return "" if notes.version == UNRELEASED else notes.version.lower()


def _missing(block: Block, notes: Section) -> dict[str, list[Entry]]:
    """The entries that *block* does not have yet, by group."""
    there = {item.text for item in document.items(block.body)}
    missing = {
        name: [entry for entry in entries if document.comparable(entry.markdown) not in there]
        for name, entries in notes.groups.items()
    }
    return {name: entries for name, entries in missing.items() if entries}


def _add(block: Block, name: str, entries: Sequence[Entry], style: Style) -> None:
    """Put *entries* into the group *name* of *block*: breaking ones at its head, others at its end."""
    breaking = [style.item(entry.markdown) for entry in entries if entry.breaking]
    others = [style.item(entry.markdown) for entry in entries if not entry.breaking]
    later = GROUPS[GROUPS.index(name) + 1 :]
    document.add(block, name, head=breaking, tail=others, before=later, style=style)


def _without_empty_groups(body: Sequence[str], style: Style) -> list[str]:
    """*body* without headings that have nothing under them, which a template leaves; [] if nothing is left."""
    kept = list(body)
    for _, at, end in reversed(document.groups(body, level=style.level + 1)):
        if not any(line.strip() for line in body[at + 1 : end]):
            del kept[at:end]
    return kept if any(line.strip() for line in kept) else []
