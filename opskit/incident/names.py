"""Names of numbered things in the ledger (INC-001, ACT-001), and which one a person means by what they write."""

import re
from collections.abc import Sequence
from typing import Protocol, TypeVar

from opskit.errors import UsageFault


class Named(Protocol):
    """Something numbered; `event` is the ULID of what began it."""

    @property
    def name(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def is_open(self) -> bool: ...


Thing = TypeVar("Thing", bound=Named)


def pick(every: Sequence[Thing], wanted: str, *, prefix: str, what: str, listed_by: str) -> Thing:
    """The one that *wanted* names (see `numbered`); raises `UsageFault` that lists the open ones."""
    found = [every[at] for at in numbered(wanted, [(one.name, one.event) for one in every], prefix=prefix)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{one.name} ({one.title}; {one.event})" for one in found)
        raise UsageFault(f"{wanted!r} may be any of {names}", remedy="name it whole, or by its event's id")
    still = [f"{one.name} ({one.title})" for one in every if one.is_open]
    known = f"open are {', '.join(still)}" if still else "none is open"
    raise UsageFault(f"there is no {what} {wanted!r}; {known}", remedy=f"{listed_by} shows every one")


def numbered(wanted: str, every: Sequence[tuple[str, str]], *, prefix: str) -> list[int]:
    """The places in *every* (name, event's id) of what *wanted* may mean, the exact one alone if there is one.

    `INC-001`, `inc-1` and `1` are the same; a suffix given offline may be left out where that is clear.
    """
    name = canonical(wanted, prefix=prefix)
    exact = [at for at, known in enumerate(every) if name in known]
    return exact or [at for at, known in enumerate(every) if re.fullmatch(rf"{re.escape(name)}-[0-9A-Z]+", known[0])]


def canonical(wanted: str, *, prefix: str) -> str:
    """The name as it is given out (`INC-001`) of what a person wrote (`inc-1`, `1`); any other stays, in capitals."""
    said = wanted.strip().upper()
    match = re.fullmatch(rf"(?:{prefix})?[-#\s]*0*([0-9]{{1,9}})(-[0-9A-Z]+)?", said)
    return f"{prefix}-{int(match[1]):03}{match[2] or ''}" if match else said
