"""Secrets kept out of what is printed: those in URLs, tokens of a known shape, and the values of secret variables."""

import os
import re
from collections.abc import Callable, Mapping

MASK = "***"
_SHAPES = re.compile(
    r"(?P<user>://[^\s/:@]+:)[^\s/@]+(?=@)"  # https://user:SECRET@host
    r"|(?P<open>://)[^\s/:@]{20,}(?=@)"  # https://SECRET@host
    r"|\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,})"
    r"|(?P<bearer>\b[Bb]earer )[A-Za-z0-9._~+/-]{16,}=*"
)
_SECRET_NAME = re.compile(r"(?:TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|PEPPER)$")
_SHORTEST = 8  # characters: a shorter value would be found in innocent text, as one of letters only would


def masker(environ: Mapping[str, str] = os.environ) -> Callable[[str], str]:
    """A function that puts *** in the place of every secret in a text."""
    named = (value for name, value in environ.items() if _SECRET_NAME.search(name))
    values = {value for value in named if len(value) >= _SHORTEST and not value.isalpha()}
    known = re.compile("|".join(re.escape(value) for value in sorted(values, key=len, reverse=True)) or r"(?!)")
    return lambda text: _SHAPES.sub(_masked, known.sub(MASK, text))


def _masked(found: re.Match[str]) -> str:
    kept = found["user"] or found["open"] or found["bearer"] or ""
    return f"{kept}{MASK}"
