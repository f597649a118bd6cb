"""The one tree of opskit's errors and the exit code each means.

An error is one sentence that says what is wrong, with the values, and a remedy: the command or edit that mends it.
Commands raise these; `opskit.cli.main` alone turns them into text and an exit code.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Exit codes, as a script may rely on them."""

    DONE = 0
    BAD = 1  # the thing checked is bad: red smoke, red CI, findings
    USAGE = 2  # usage or configuration
    REFUSED = 3  # nothing changed
    HALF_WAY = 4  # a person must settle something, then --continue or --abort
    PUT_BACK = 5  # failed, and put back as it was
    INTERRUPTED = 130


class OpskitError(Exception):
    """What went wrong, in one sentence, and what mends it. *fields* join the JSON object that tells of it."""

    exit_code = Exit.REFUSED

    def __init__(self, what: str, *, remedy: str = "", fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(what)
        self.what, self.remedy, self.fields = what, remedy, dict(fields or {})

    def __str__(self) -> str:
        return self.what


class Bad(OpskitError):
    """The thing checked is bad; the check itself worked."""

    exit_code = Exit.BAD


class UsageFault(OpskitError):
    """The call or the configuration is wrong."""

    exit_code = Exit.USAGE


class Refused(OpskitError):
    """A precondition does not hold; nothing was changed."""

    exit_code = Exit.REFUSED


class HalfWay(OpskitError):
    """Stopped at something only a person can settle; the journal knows where."""

    exit_code = Exit.HALF_WAY


class PutBack(OpskitError):
    """It failed, and everything is again as it was before."""

    exit_code = Exit.PUT_BACK
