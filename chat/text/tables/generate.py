"""Makes the data files beside it, so that a newer interpreter or library never changes a verdict or a key.

Run `python -m chat.text.tables.generate` with Python 3.11 (whose `unicodedata` is Unicode 14.0) where ICU 72 is
installed (Debian bookworm: `apt-get install libicu72`). Changing what the files hold changes verdicts, and perhaps
keys: raise `KEY_VERSION` when any key changes.
"""

import ctypes
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import emoji

from chat.text.looks import skeleton

UNICODE = "14.0.0"
GRAPHIC = {"L", "M", "N", "P", "S"}
BUFFER_BYTES = 4096


def graphic(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] in GRAPHIC or category == "Zs"


def graphic_file() -> str:
    ranges: list[list[int]] = []
    for point in range(sys.maxunicode + 1):
        if graphic(chr(point)):
            if ranges and ranges[-1][1] == point - 1:
                ranges[-1][1] = point
            else:
                ranges.append([point, point])
    head = f"# Letters, marks, numbers, punctuation, symbols and spaces of Unicode {UNICODE}: first-last."
    return "\n".join([head, *(f"{first:X}-{last:X}" for first, last in ranges)]) + "\n"


def emoji_file() -> str:
    qualified = emoji.STATUS["fully_qualified"]
    found = sorted(text for text, facts in emoji.EMOJI_DATA.items() if facts["status"] == qualified)
    newest = max(facts["E"] for facts in emoji.EMOJI_DATA.values())
    head = f"# Fully-qualified RGI emoji up to Emoji {newest:.1f}, from emoji-test.txt as the PyPI package emoji"
    return "\n".join([f"{head} {emoji.__version__} carries it.", *found]) + "\n"


def icu_skeleton() -> Callable[[str], str]:
    """Return ICU 72's `uspoof_getSkeletonUTF8` (confusables of Unicode 15.0) as a function."""
    icu = ctypes.CDLL("libicui18n.so.72")
    icu.uspoof_open_72.restype = ctypes.c_void_p
    status = ctypes.c_int(0)
    checker = ctypes.c_void_p(icu.uspoof_open_72(ctypes.byref(status)))
    buffer = ctypes.create_string_buffer(BUFFER_BYTES)

    def skeleton(text: str) -> str:
        data = text.encode()
        size = icu.uspoof_getSkeletonUTF8_72(
            checker, ctypes.c_uint32(0), data, len(data), buffer, BUFFER_BYTES, ctypes.byref(status)
        )
        if status.value > 0:
            raise OSError(f"ICU error {status.value} for {text!r}")
        return buffer.raw[:size].decode()

    return skeleton


def confusables_file() -> str:
    icu = icu_skeleton()
    head = "# Code point;what it looks like: Unicode 15.0's confusables.txt as ICU 72 carries it, for Unicode 14."
    lines = (
        f"{ord(char):X};" + " ".join(f"{ord(part):X}" for part in target)
        for char in filter(graphic, map(chr, range(sys.maxunicode + 1)))
        if unicodedata.normalize("NFD", char) == char and (target := icu(char)) != char
    )
    return "\n".join([head, *lines]) + "\n"


def main() -> None:
    if unicodedata.unidata_version != UNICODE:
        sys.exit(f"this needs a Python with Unicode {UNICODE} (3.11), not {unicodedata.unidata_version}")
    here = Path(__file__).parent
    for name, make in (("graphic", graphic_file), ("emoji", emoji_file), ("confusables", confusables_file)):
        (here / f"{name}.txt").write_text(make(), encoding="utf-8")
    icu = icu_skeleton()
    if wrong := [char for char in map(chr, range(sys.maxunicode + 1)) if graphic(char) and skeleton(char) != icu(char)]:
        sys.exit(f"skeletons differ from ICU's: {wrong}")


if __name__ == "__main__":
    main()
