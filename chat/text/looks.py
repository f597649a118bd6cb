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
def _latin_looks() -> dict[int, str]:
    """Other characters → the ASCII letter or digit they look like; what is no small letter but looks like l is an I."""
    return {
        point: "I" if look == "l" and unicodedata.category(chr(point)) in {"Lu", "Lo"} else look
        for point, look in confusables().items()
        if point > 0x7F and len(look) == 1 and look.isascii() and look.isalnum()
    }


def lookalikes(display: str) -> tuple[str, ...]:
    """Return every skeleton a reader may see in *display*, the one that most people see first.

    Keys are folded to small letters, but people see capitals: `ВОВ` (Cyrillic) and `ꓐꓳꓐ` (Lisu) look like `BOB`, and
    the `I` within `aIice` like an l. That reading comes first: the name's own skeleton, so that of two names with one
    look the second is refused whichever it is.
    """
    latin = display.translate(_latin_looks())
    found = [skeleton(key_of(latin)), skeleton(key_of(display))]
    if latin != latin.upper():
        found.insert(0, skeleton(key_of(_INNER_CAPITAL_I.sub("l", latin))))
    return tuple(dict.fromkeys(found))
