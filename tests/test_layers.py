"""Imports point down, and the halves never meet; this proves it from the source text."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# package -> what of this project it may import (besides itself)
MAY_IMPORT = {
    "chat.text": set(),
    "chat.protocol": {"chat.text"},
    "chat.storage": {"chat.protocol", "chat.text"},
    "chat.auth": {"chat.storage", "chat.protocol", "chat.text"},
    "chat.services": {"chat.auth", "chat.storage", "chat.protocol", "chat.text"},
    "chat.fanout": {"chat.protocol", "chat.text"},
    "chat": {"chat"},
    "opskit.release": {"opskit.errors", "opskit.config", "opskit.git"},
    "opskit": {"opskit"},
    "smoke": {"smoke"},
    "loadtests": {"loadtests"},
}
SMALL = {
    "chat.settings",
    "chat.logs",
    "chat.metrics",
}  # leaves that anything in chat but text and protocol may use
ONLY_IN = {  # third-party package -> the one place that may import it
    "quart": ("chat.web",),
    "hypercorn": ("chat.web",),
    "wsproto": ("chat.web",),
    "sqlalchemy": ("chat.storage",),
    "alembic": ("chat.storage",),
    "databases": ("chat.storage", "loadtests.bench.peers"),
    "bcrypt": ("chat.auth",),
    "jwt": ("chat.auth",),
    "emoji": ("chat.text",),
    "precis_i18n": ("chat.text",),
    "git": ("opskit.git",),
    "locust": ("loadtests",),
}


def modules() -> list[tuple[str, Path]]:
    found = []
    for half in ("chat", "opskit", "smoke", "loadtests"):
        for path in sorted((ROOT / half).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


@cache
def imports(path: Path, name: str) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            pytest.fail(f"{name} imports relatively; this project imports by full name")
    return frozenset(found)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_point_down(name: str, path: Path) -> None:
    package = max((p for p in MAY_IMPORT if within(name, p)), key=len)
    allowed = MAY_IMPORT[package] | {package}
    if package not in {"chat.text", "chat.protocol"} and package.startswith("chat."):
        allowed |= SMALL
    own = {i for i in imports(path, name) if i.split(".")[0] in {"chat", "opskit", "smoke", "loadtests", "tests"}}
    half = name.split(".")[0]
    wrong = {i for i in own if i != half and not any(within(i, a) for a in allowed)}
    assert not wrong, f"{name} must not import {sorted(wrong)}"


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_library_is_used_in_its_one_place(name: str, path: Path) -> None:
    for library, homes in ONLY_IN.items():
        if name.startswith(("smoke", "loadtests")) and library != "locust":
            continue
        if any(within(i, library) for i in imports(path, name)):
            assert any(within(name, home) for home in homes), f"{name} imports {library}; only {homes} may"
