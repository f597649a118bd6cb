"""User-perceived characters: extended grapheme clusters of UAX #29, as the `regex` library finds them."""

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the library takes 60 ms to import; it is loaded when the first non-ASCII text comes
    import regex

# `regex` looks back to the start of a run of regional indicators for each one: quadratic. A pair counts as one.
_FLAGS = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_ONE = "x"


@cache
def _cluster() -> "regex.Pattern[str]":
    import regex

    return regex.compile(r"\X")


def clusters(text: str) -> list[str]:
    """Return the grapheme clusters of *text*, in order."""
    return list(text) if text.isascii() and "\r" not in text else _cluster().findall(text)


def exceeds(text: str, limit: int) -> bool:
    """Tell whether *text* has more than *limit* grapheme clusters."""
    if len(text) <= limit:
        return False
    if text.isascii() and "\r" not in text:
        return True
    short = _FLAGS.sub(_ONE, text)
    if len(short) <= limit:
        return False
    return any(count >= limit for count, _ in enumerate(_cluster().finditer(short)))


def first(text: str, limit: int) -> str:
    """Return the first *limit* grapheme clusters of *text*, none of them cut."""
    if len(text) <= limit:
        return text
    if text.isascii() and "\r" not in text:
        return text[:limit]
    end = 0
    for count, found in enumerate(_cluster().finditer(text)):
        if count == limit:
            break
        end = found.end()
    return text[:end]
