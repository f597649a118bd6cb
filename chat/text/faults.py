"""What is wrong with a text: one fault with a code of the contract's closed list."""

from typing import Literal

Code = Literal[
    "invalid_unicode",
    "invalid_field",
    "name_empty",
    "name_too_long",
    "content_empty",
    "content_too_long",
    "invalid_emoji",
    "missing_field",
    "username_taken",
]


class TextFault(ValueError):
    """A text that the policy refuses; `code` is for programs, `str(fault)` for people."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code: Code = code
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class UsernameReserved(TextFault):
    """A username that is, or looks like, one of the reserved words; answered as if it were taken."""

    def __init__(self, name: str, word: str) -> None:
        detail = f"{name!r} is reserved" if name == word else f"{name!r} looks like the reserved name {word!r}"
        super().__init__("username_taken", detail)
        self.name, self.word = name, word


def named(char: str) -> str:
    """Return a code point as people look it up: `U+202E`."""
    return f"U+{ord(char):04X}"
