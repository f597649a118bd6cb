"""The path that a request's target names: decoded once, and never to another path than the one written."""

import re
from typing import TypeVar
from urllib.parse import unquote

from hypercorn.typing import HTTPScope, WebsocketScope

S = TypeVar("S", HTTPScope, WebsocketScope)

_SLASH = re.compile(r"%2[fF]")
_SCHEME_AND_HOST = re.compile(r"^https?://[^/?#]*")  # absolute form, RFC 9112 section 3.2.2


def path_of(target: bytes) -> str:
    """The path in *target*, percent-decoded but for `%2F`: a slash in a name is no separator (RFC 3986 section 2.2).

    A second slash at the beginning stays apart likewise; routing would drop it.
    """
    path = _SCHEME_AND_HOST.sub("", target.decode("ascii", "replace").partition("?")[0], count=1) or "/"
    if path.startswith("//"):
        path = f"/%2F{path.lstrip('/')}"
    return unquote(_SLASH.sub("%252F", path))


def routed(scope: S) -> S:
    """*scope* with that path."""
    changed = scope.copy()
    changed["path"] = path_of(scope["raw_path"])
    return changed
