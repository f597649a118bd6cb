"""Emoji: which sequences are recommended for general interchange (UTS #51), and their one canonical spelling."""

import re
from functools import cache

from chat.text.graphemes import clusters
from chat.text.tables import rgi_emoji

VS16 = "\ufe0f"
_LONGEST = 64  # code points; the longest of the table has 10, and each may carry a VS16
_NOT_A_BASE = re.compile("[\u200d\ufe0f\u20e3\U0001f1e6-\U0001f1ff\U000e0020-\U000e007f]")


@cache
def _spellings() -> dict[str, str]:
    """Each emoji, fully qualified and without any VS16, → fully qualified."""
    table = {text.replace(VS16, ""): text for text in rgi_emoji()}
    table.update((text, text) for text in rgi_emoji())
    return table


@cache
def _optional_vs16() -> re.Pattern[str]:
    """One VS16 after an emoji character, or one at the end: it only repeats what the emoji is anyway."""
    bases = sorted({char for text in rgi_emoji() for char in text if not _NOT_A_BASE.match(char)})
    return re.compile(f"(?<=[{''.join(map(re.escape, bases))}]){VS16}|(?<!{VS16}){VS16}\\Z")


def canonical(text: str) -> str | None:
    """Return the fully-qualified spelling if *text* is exactly one RGI emoji, with or without its VS16s, else None."""
    spellings = _spellings()
    if (known := spellings.get(text)) is not None:
        return known
    if VS16 not in text or len(text) > _LONGEST:
        return None
    return spellings.get(_optional_vs16().sub("", text))


def text_between(text: str) -> list[str]:
    """Return the runs of *text* between its emoji; an emoji is a whole grapheme cluster that is RGI."""
    if text.isascii():
        return [text] if text else []
    runs = [""]
    for cluster in clusters(text):
        if canonical(cluster) is None:
            runs[-1] += cluster
        else:
            runs.append("")
    return [run for run in runs if run]
