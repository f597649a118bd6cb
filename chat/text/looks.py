"""What a name looks like: skeletons by UTS #39, for telling confusable names."""

import re
import unicodedata
from functools import cache

from chat.text.keys import key_of
from chat.text.pinned import normalize
from chat.text.tables import confusables

_JOINERS = re.compile("\u200c|(?<=(.))\u200d", re.DOTALL)
_VIRAMA = 9  # canonical combining class
_INNER_CAPITAL_I = re.compile("(?<=.)I")


def _without_joiners(text: str) -> str:
    """Drop ZWNJ, and ZWJ after a virama; the ZWJ of an emoji is what makes it that emoji."""

    def kept(found: re.Match[str]) -> str:
        before = found.group(1)
        return "" if before is None or unicodedata.combining(before) == _VIRAMA else "\u200d"

    return _JOINERS.sub(kept, text)


def skeleton(text: str) -> str:
    """Return the UTS #39 skeleton: two names with one skeleton can be taken for each other. Never shown."""
    mapped = _without_joiners(normalize("NFD", text)).translate(confusables())
    return normalize("NFD", mapped)


@cache
def _foreign_capitals() -> dict[int, str]:
    """Capitals of other alphabets → the Latin capital they look like; `І` (Ukrainian) is an I, not an l."""
    latin = {"l": "I"} | {chr(point): chr(point) for point in range(ord("A"), ord("Z") + 1)}
    table = confusables().items()
    return {
        point: latin[look]
        for point, look in table
        if point > 0x7F and look in latin and unicodedata.category(chr(point)) == "Lu"
    }


def lookalikes(display: str) -> tuple[str, ...]:
    """Return every skeleton a reader may see in *display*, that of its key first.

    Keys are folded to small letters, but people see capitals: `ВОВ` (Cyrillic) looks like `BOB`, and the `I` within
    `aIice` like an l.
    """
    found = [skeleton(key_of(display)), skeleton(key_of(display.translate(_foreign_capitals())))]
    if display != display.upper():
        found.append(skeleton(key_of(_INNER_CAPITAL_I.sub("l", display))))
    return tuple(dict.fromkeys(found))
