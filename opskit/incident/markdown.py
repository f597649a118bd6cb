"""Markdown that says what it is given, and blocks in it that can be made anew without touching what a person wrote.

A block stands between two comments; the first carries a digest of what is between, which tells whether it was edited.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#])")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BLOCK = re.compile(r"<!-- opskit:([a-z]+) ([0-9a-f]{12}) -->(\r?\n)(.*?)(?:\r?\n)?<!-- opskit:end -->", re.DOTALL)


def plain(text: str) -> str:
    """*text* so that Markdown shows it as it is, on one line; line breaks become `<br>`."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # names that git has in Latin-1
    escaped = _ENTITY.sub("&amp;", _SPECIAL.sub(r"\\\1", readable.strip()))
    return "<br>".join(" ".join(line.split()) for line in escaped.splitlines() if line.strip())


def code(text: str) -> str:
    """*text* as code on one line, also within a table."""
    line = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}".replace("|", "\\|") if line else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def block(key: str, body: str) -> str:
    """*body* between its two comments."""
    return f"<!-- opskit:{key} {_digest(body)} -->\n{body}\n<!-- opskit:end -->"


@dataclass(frozen=True, slots=True)
class Merged:
    """A document brought up to date: the blocks made anew, those a person edited, those a person took out."""

    text: str
    renewed: tuple[str, ...]
    edited: tuple[str, ...]
    gone: tuple[str, ...]


def has_blocks(text: str) -> bool:
    """True for a document that can be brought up to date."""
    return _BLOCK.search(text) is not None


def merge(there: str, fresh: str) -> Merged:
    """*there* with those of its blocks replaced by *fresh*'s that nobody edited; every other character stays."""
    new = {found[1]: found for found in _BLOCK.finditer(fresh)}
    renewed, edited, seen = list[str](), list[str](), set[str]()

    def chosen(found: re.Match[str]) -> str:
        key, end, body = found[1], found[3], _unix(found[4])
        seen.add(key)
        if _digest(body) != found[2]:
            edited.append(key)
        elif key in new and new[key][4] != body:
            renewed.append(key)
            return new[key][0].replace("\n", end)
        return found[0]

    text = _BLOCK.sub(chosen, there)
    gone = tuple(key for key in new if key not in seen)
    return Merged(text, tuple(renewed), tuple(edited), gone)


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()[:12]
