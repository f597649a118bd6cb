"""docs/security.md names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
TABLE = TESTS.parent / "docs" / "security.md"


def test_every_test_that_the_security_table_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", TABLE.read_text(encoding="utf-8"))
    assert len(named) >= 50
    missing = [f"{path}::{name}" for path, name in named if not _has(TESTS / path, name)]
    assert not missing


def _has(path: Path, name: str) -> bool:
    return path.is_file() and f"def {name}" in path.read_text(encoding="utf-8")
