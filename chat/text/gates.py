"""The gate every string from outside passes: text that UTF-8 can carry and a database can store."""

import re

from chat.text.faults import TextFault, named

_SURROGATE = re.compile("[\ud800-\udfff]")


def gate(value: str) -> str:
    """Return *value*, or raise TextFault `invalid_unicode` for a lone surrogate or NUL."""
    if "\0" in value:
        raise TextFault("invalid_unicode", "text cannot have the NUL character U+0000")
    if not value.isascii() and (found := _SURROGATE.search(value)):
        raise TextFault("invalid_unicode", f"text cannot have the lone surrogate {named(found.group())}")
    return value
