"""What a check says when it is not satisfied: what was looked at, what was expected, what was seen."""

import json
import time
from collections.abc import Callable
from typing import Any

MAX_SHOWN_CHARS = 240


class CheckFailed(AssertionError):
    """The service did something other than the contract says; the text names both."""


class Unreachable(CheckFailed):
    """There is no service to check: further checks would only say so again."""


def shown(value: Any) -> str:
    """*value* for people: JSON where it is JSON, cut to a line that still fits a terminal."""
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
        text.encode()
    except (TypeError, ValueError):
        text = ascii(value)
    return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 1] + "…"


def same(what: str, seen: Any, expected: Any) -> None:
    """Raise `CheckFailed` unless *seen* equals *expected*; *what* names the thing looked at."""
    if seen != expected:
        raise CheckFailed(f"{what}: expected {shown(expected)}, saw {shown(seen)}")


def true(what: str, holds: bool, *, seen: Any) -> None:
    """Raise `CheckFailed` unless the statement *what* holds; *seen* is what spoke against it."""
    if not holds:
        raise CheckFailed(f"expected {what}, saw {shown(seen)}")


def eventually(what: str, holds: Callable[[], bool], *, within_s: float = 3.0) -> None:
    """Raise `CheckFailed` unless *holds* becomes true in time; *what* is the statement waited for."""
    give_up_at_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > give_up_at_s:
            raise CheckFailed(f"expected {what} within {within_s:g} s, saw otherwise")
        time.sleep(0.02)


def has(what: str, seen: Any, **expected: Any) -> None:
    """Raise `CheckFailed` unless *seen* is an object whose named fields have the values given."""
    if not isinstance(seen, dict):
        raise CheckFailed(f"{what}: expected an object, saw {shown(seen)}")
    for name, value in expected.items():
        if name not in seen:
            raise CheckFailed(f"{what}: expected a field {name!r}, saw only {', '.join(sorted(seen)) or 'no fields'}")
        same(f"{what}, field {name!r}", seen[name], value)
