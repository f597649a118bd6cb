"""Unicode 14 whatever the interpreter carries: what is assigned, what is blank, and the normal forms."""

import re
import unicodedata
from functools import cache
from typing import Literal

from chat.text.faults import named
from chat.text.tables import graphic_ranges

UNICODE_VERSION = "14.0.0"

Form = Literal["NFC", "NFD", "NFKC"]

# White_Space of Unicode; `str.isspace` also has the separators U+001C–U+001F, which are controls here.
WHITE_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
BIDI_CONTROLS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Default_Ignorable_Code_Point that is a letter or a mark: variation selectors, Hangul fillers, U+034F, …
INVISIBLE_LETTERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
# Default_Ignorable_Code_Point that is neither of these nor above: U+200B, joiners, tags, …
INVISIBLE_FORMATS = "\xad\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff\ufff0-\ufff8\U0001bca0-\U0001bca3"
INVISIBLE_FORMATS += "\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
# Printable by category, yet without ink: BRAILLE PATTERN BLANK, MUSICAL SYMBOL NULL NOTEHEAD, KHITAN FILLER.
INKLESS = "\u2800\U0001d159\U00016fe4"
BLANK = WHITE_SPACE + BIDI_CONTROLS + INVISIBLE_LETTERS + INVISIBLE_FORMATS + INKLESS

_EXACT = unicodedata.unidata_version == UNICODE_VERSION


@cache
def _not_graphic() -> re.Pattern[str]:
    ranges = (f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in graphic_ranges())
    return re.compile(f"([^{''.join(ranges)}])")


def first_not_graphic(text: str) -> str | None:
    """Return the first code point that Unicode 14 has not as letter, mark, number, punctuation, symbol or space."""
    found = _not_graphic().search(text)
    return found.group() if found else None


def normalize(form: Form, text: str) -> str:
    """Return the normal form of *text* by Unicode 14 (UAX #15).

    What was assigned later is left as it is, so that a stored key or password hash outlives an upgrade of Python. To
    Unicode 14 such a code point is inert (combining class 0, no decomposition), so the pieces between are independent.
    """
    if text.isascii():
        return text
    if _EXACT:
        return unicodedata.normalize(form, text)
    pieces = _not_graphic().split(text)
    return "".join(piece if at % 2 else unicodedata.normalize(form, piece) for at, piece in enumerate(pieces))


def describe(char: str) -> str:
    """Return what kind of code point a refused one is, with its number: `the bidi control U+202E`."""
    match unicodedata.category(char):
        case "Cc":
            kind = "control character"
        case "Zl" | "Zp":
            kind = "line break"
        case "Co":
            kind = "private-use character"
        case "Cf" if re.match(f"[{BIDI_CONTROLS}]", char):
            kind = "bidi control"
        case "Cf":
            kind = "invisible format character"
        case _ if ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF:
            kind = "noncharacter"
        case _:
            kind = f"code point that Unicode {UNICODE_VERSION} has not assigned,"
    return f"the {kind} {named(char)}"
