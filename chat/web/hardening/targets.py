"""The path that a request's target names: decoded once, and never to another path than the one written."""

import re
from typing import TypeVar
from urllib.parse import unquote

from hypercorn.typing import HTTPScope, WebsocketScope

S = TypeVar("S", HTTPScope, WebsocketScope)

MAX_HOST_BYTES = 255
_LABEL = rb"[A-Za-z0-9_~!$&'()*+,;=%-]{1,63}"
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|%b(?:\.%b)*\.?|)(?::[0-9]{0,5})?" % (_LABEL, _LABEL))
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


def is_host(value: bytes) -> bool:
    """Whether *value* can be a `Host` (RFC 9110 section 7.2; a label has at most 63 bytes, RFC 1035)."""
    return len(value) <= MAX_HOST_BYTES and _HOST.fullmatch(value) is not None


def routed(scope: S) -> S:
    """*scope* with that path; a `Host` that is none, as HTTP/2 may bring one, is empty: routing stumbles over it."""
    changed = scope.copy()
    changed["path"] = path_of(scope["raw_path"])
    changed["headers"] = [
        (name, b"" if name == b"host" and not is_host(value) else value) for name, value in scope["headers"]
    ]
    return changed
