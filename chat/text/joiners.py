"""Where ZWNJ and ZWJ belong outside emoji: the context rules of RFC 5892, appendices A.1 and A.2."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loaded when the first joiner comes, see graphemes
    import regex

ZWNJ, ZWJ = "\u200c", "\u200d"


@cache
def _allowed() -> "regex.Pattern[str]":
    import regex

    after_virama = r"(?<=\p{ccc=9})[\u200c\u200d]"
    breaks_cursive = r"(?<=[\p{jt=L}\p{jt=D}]\p{jt=T}*)\u200c(?=\p{jt=T}*[\p{jt=R}\p{jt=D}])"
    return regex.compile(f"{after_virama}|{breaks_cursive}")


def without_allowed_joiners(text: str) -> str:
    """Return *text* without the joiners that stand where the rules allow them; any other stays."""
    if ZWNJ not in text and ZWJ not in text:
        return text
    rest: str = _allowed().sub("", text)
    return rest
