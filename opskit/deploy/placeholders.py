"""Placeholders in configured commands and environment values: `{url}` `{port}` `{state_dir}` `{release_dir}`."""

import re
import shlex
from collections.abc import Mapping

from opskit.errors import UsageFault

NAMES = ("url", "port", "state_dir", "release_dir")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def fill(text: str, values: Mapping[str, str], *, key: str, quote: bool = False) -> str:
    """Put *values* into *text*; with *quote* each is one word to a shell. Other braces stay as they are.

    Raises `UsageFault` naming *key* for a placeholder that has no value here.
    """

    def value_of(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            known = " ".join(f"{{{each}}}" for each in values)
            raise UsageFault(
                f"{key}: {{{name}}} is no placeholder here; there is {known}", remedy=f"mend {key} in the configuration"
            )
        return shlex.quote(values[name]) if quote else values[name]

    return _PLACEHOLDER.sub(value_of, text)


def unknown(text: str) -> list[str]:
    """The placeholders in *text* that there are none of."""
    return [name for name in _PLACEHOLDER.findall(text) if name not in NAMES]
