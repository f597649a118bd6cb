"""Keys: the form under which two spellings of a name are one. Stored, unique, never shown."""

import re
from typing import NewType

from chat.text.pinned import INKLESS, INVISIBLE_LETTERS, normalize

DisplayName = NewType("DisplayName", str)
Key = NewType("Key", str)

KEY_VERSION = 1
"""Stored beside every key and skeleton; raised whenever any name would get another one."""

_DROPPED = re.compile(f"[{INVISIBLE_LETTERS}]")  # VS15 and VS16 among them
_SPACING = re.compile(f"[{INKLESS} ]+")


def key_of(display: str) -> Key:
    """Return the key of a display name.

    NFKC → casefold → NFKC, run to a fixpoint (one pass is not idempotent for 637 code points), without what cannot be
    seen: variation selectors and other invisible letters and marks go, what looks like a space is one.
    """
    if display.isascii():
        return Key(_SPACING.sub(" ", display.lower()).strip(" "))
    previous, current = "", display
    while current != previous:
        previous = current
        current = normalize("NFKC", normalize("NFKC", current).casefold())
        current = _SPACING.sub(" ", _DROPPED.sub("", current)).strip(" ")
    return Key(current)
