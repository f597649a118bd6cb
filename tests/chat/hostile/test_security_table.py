"""docs/security.md names tests that exist, in every row, and is right about what the server does not do."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
TABLE = TESTS.parent / "docs" / "security.md"


def test_every_test_that_the_security_table_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", TABLE.read_text(encoding="utf-8"))
    assert len(named) >= 50
    missing = [f"{path}::{name}" for path, name in named if not _has(TESTS / path, name)]
    assert not missing


def test_every_row_names_a_test_or_says_why_there_is_none() -> None:
    rows = re.findall(r"^\| (\d+\.\d.*)$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) >= 60
    assert [row for row in rows if "::test_" not in row and "**no**" not in row and "*n/a*" not in row] == []


def test_the_server_has_nothing_to_inject_into() -> None:
    others = {
        "subprocess",
        "smtplib",
        "ldap",
        "xml",
        "lxml",
        "jinja2",
        "httpx",
        "requests",
        "csv",
        "pickle",
        "memcache",
    }
    used = {
        name.partition(".")[0]
        for path in (TESTS.parent / "chat").rglob("*.py")
        for name in re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {"msgspec", "sqlalchemy"} <= used
    assert not used & others


def _has(path: Path, name: str) -> bool:
    return path.is_file() and f"def {name}" in path.read_text(encoding="utf-8")
