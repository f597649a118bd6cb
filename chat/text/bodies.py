"""What is stored as sent: message content and its preview, reactions, passwords, opaque ids."""

import re
from typing import NewType

from chat.text.faults import TextFault, named
from chat.text.gates import gate
from chat.text.graphemes import exceeds, first
from chat.text.pinned import BLANK, normalize
from chat.text.rgi import canonical

OpaqueId = NewType("OpaqueId", str)

CONTENT_BYTES = 16 * 1024
CONTENT_GRAPHEMES = 4000
PREVIEW_GRAPHEMES = 80
PASSWORD_CHARACTERS = range(8, 129)
NFC_SHRINKS_BY = 4  # at most: a letter with three marks becomes one code point
ID_BYTES = 64

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_VISIBLE = re.compile(f"[^{BLANK}]")


def content(raw: str) -> str:
    r"""Return message content as it is stored: as sent, but for `\r\n` → `\n`; no normalisation.

    Verdicts in this order: `invalid_unicode` (lone surrogate, NUL), `content_too_long` (over 16 KiB of UTF-8),
    `content_empty` (nothing visible), `invalid_field` (C0, DEL, C1 other than tab and line feed), `content_too_long`
    (over 4,000 graphemes). Raises TextFault.
    """
    text = gate(raw)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if len(text) > CONTENT_BYTES or (not text.isascii() and len(text.encode()) > CONTENT_BYTES):
        raise TextFault(
            "content_too_long", f"content has at most {CONTENT_BYTES} bytes of UTF-8, not {len(text.encode())}"
        )
    if _VISIBLE.search(text) is None:
        raise TextFault("content_empty", "content needs something visible")
    if not text.isprintable() and (found := _CONTROL.search(text)):
        raise TextFault("invalid_field", f"content cannot have the control character {named(found.group())}")
    if exceeds(text, CONTENT_GRAPHEMES):
        raise TextFault("content_too_long", f"content has at most {CONTENT_GRAPHEMES} characters")
    return text


def preview(content: str) -> str:
    """Return the first 80 grapheme clusters of *content*, none of them cut."""
    return first(content, PREVIEW_GRAPHEMES)


def emoji(raw: str) -> str:
    """Return the fully-qualified spelling of *raw*, exactly one RGI emoji with or without VS16.

    Raises TextFault `invalid_emoji`; `invalid_unicode` by the gate.
    """
    if (known := canonical(raw)) is not None:
        return known
    gate(raw)
    raise TextFault("invalid_emoji", f"a reaction is exactly one emoji, not {raw[:40]!r}")


def password(raw: str) -> str:
    """Return *raw* in NFC: 8 to 128 code points of any Unicode. Raises TextFault `invalid_field`, `invalid_unicode`.

    The fault never holds the password.
    """
    gate(raw)
    # Measured first: reordering tens of thousands of combining marks takes the interpreter a second.
    text = normalize("NFC", raw) if len(raw) < PASSWORD_CHARACTERS.stop * NFC_SHRINKS_BY else ""
    if len(text) not in PASSWORD_CHARACTERS:
        raise TextFault("invalid_field", "a password has 8 to 128 characters")
    return text


def opaque_id(raw: str) -> OpaqueId:
    """Return *raw* if it is 1 to 64 bytes of printable ASCII. Raises TextFault `invalid_field`, `invalid_unicode`."""
    if not (raw.isascii() and raw.isprintable() and 0 < len(raw) <= ID_BYTES):
        gate(raw)
        raise TextFault("invalid_field", f"an id has 1 to {ID_BYTES} characters of printable ASCII")
    return OpaqueId(raw)
