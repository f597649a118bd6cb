"""The Unicode data this product is pinned to, read from the files beside this module on first use.

The files are made by `python -m chat.text.tables.generate`; NOTICE says where their data comes from.
"""

from functools import cache
from pathlib import Path


def _lines(name: str) -> list[str]:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line and not line.startswith("# ")]


@cache
def graphic_ranges() -> tuple[tuple[int, int], ...]:
    """First and last code points of what Unicode 14 calls a letter, mark, number, punctuation, symbol or space."""
    return tuple((int(first, 16), int(last, 16)) for first, last in (line.split("-") for line in _lines("graphic.txt")))


@cache
def rgi_emoji() -> tuple[str, ...]:
    """Every emoji recommended for general interchange (UTS #51), fully qualified."""
    return tuple(_lines("emoji.txt"))


@cache
def confusables() -> dict[int, str]:
    """Code point → what it looks like (UTS #39), in the shape `str.translate` takes."""
    table = {}
    for line in _lines("confusables.txt"):
        source, target = line.split(";")
        table[int(source, 16)] = "".join(chr(int(point, 16)) for point in target.split())
    return table
