"""The version inside a project's own files: read and replaced where `FILE:KEY` points, every other byte kept."""

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from opskit.errors import UsageFault


def split(entry: str) -> tuple[str, str]:
    """File and key of a `version_files` entry; the key may hold colons, the file not."""
    name, _, key = entry.partition(":")
    return name, key


def read_version(content: bytes, entry: str) -> str:
    """The version that *entry* points at in *content*; raises `UsageFault` if it is not there."""
    return _find(content, entry)[0]


def write_version(content: bytes, entry: str, version: str) -> bytes:
    """*content* with *version* where *entry* points; no other byte changes. Raises `UsageFault` as `read_version`."""
    old, (start, end) = _find(content, entry)
    return content[:start] + version.encode() + content[end:] if old != version else content


def _find(content: bytes, entry: str) -> tuple[str, tuple[int, int]]:
    name, key = split(entry)
    loads = _LOADERS.get(name.rpartition(".")[2].lower())
    found = _in_tree(content, key, loads) if loads else _in_text(content, key)
    if found is None:
        raise UsageFault(
            f"tool.opskit.version_files: {entry!r} points at no version",
            remedy=f"see {name}; the key is a dotted path in TOML and JSON, elsewhere a name or a regular expression",
        )
    return found


def _load_toml(content: bytes) -> Any:
    return tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n"))


def _load_json(content: bytes) -> Any:
    return json.loads(content.decode("utf-8-sig"))


_LOADERS: Mapping[str, Callable[[bytes], Any]] = {"toml": _load_toml, "json": _load_json}


def _in_tree(content: bytes, key: str, loads: Callable[[bytes], Any]) -> tuple[str, tuple[int, int]] | None:
    """The place of the one quoted string whose replacement changes *key* and nothing else."""
    try:
        value = _lookup(loads(content), key)
    except ValueError:
        return None
    if value is None:
        return None
    probe = b"opskit-probe"
    for match in re.finditer(rb"([\"'])" + re.escape(value.encode()) + rb"\1", content):
        start, end = match.start() + 1, match.end() - 1
        try:
            changed = loads(content[:start] + probe + content[end:])
        except ValueError:
            continue
        if _lookup(changed, key) == probe.decode():
            return value, (start, end)
    return None


def _lookup(tree: Any, key: str) -> str | None:
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            return None
        tree = tree[part]
    return tree if isinstance(tree, str) else None


def _in_text(content: bytes, key: str) -> tuple[str, tuple[int, int]] | None:
    """A name is followed by `=` or `:` and a version; one with a group is a regular expression; "": the file is one."""
    if not key:
        pattern = r"\A\s*v?(\d+\.\d+\S*)"
    elif "(" in key:
        pattern = key
    else:
        pattern = rf"(?m)^[^\n]*?\b{re.escape(key)}\b[\"']?\s*[:=]+\s*[\"']?v?(\d+\.\d+[^\s\"',;]*)"
    try:
        match = re.search(pattern.encode(), content)
    except re.error as fault:
        raise UsageFault(f"tool.opskit.version_files: {key!r} is no regular expression: {fault}") from fault
    return (match[1].decode("utf-8", "replace"), match.span(1)) if match else None
