"""The version inside a project's own files: only it changes."""

import pytest

from opskit.errors import UsageFault
from opskit.release.plan_objects import higher
from opskit.release.plan_versions import read_version, write_version

TOML = b"""\xef\xbb\xbf# version = "1.0.0"\r
[tool.x]\r
version = "1.0.0"\r
[project]\r
version   =  '1.0.0' # here\r
"""
JSON = b'{\n\t"dependencies": {"a": {"version": "1.0.0"}},\n\t"version" : "1.0.0", "caf\xc3\xa9": 1}'


@pytest.mark.parametrize(
    ("entry", "before", "after"),
    [
        ("pyproject.toml:project.version", TOML, TOML.replace(b"'1.0.0'", b"'2.0.0-rc.1'")),
        ("package.json:version", JSON, JSON.replace(b'"version" : "1.0.0"', b'"version" : "2.0.0-rc.1"')),
        (
            "package.json:dependencies.a.version",
            JSON,
            JSON.replace(b'{"version": "1.0.0"}', b'{"version": "2.0.0-rc.1"}'),
        ),
        ("a/__init__.py:__version__", b"x = 1\n__version__ = '1.0.0'\n", b"x = 1\n__version__ = '2.0.0-rc.1'\n"),
        ("VERSION:", b"1.0.0\n", b"2.0.0-rc.1\n"),
        ("chart.yaml:appVersion", b'version: 9\nappVersion: "1.0.0"\n', b'version: 9\nappVersion: "2.0.0-rc.1"\n'),
        ("a.c:VERSION v([0-9.]+)", b"// VERSION v1.0.0\r\n", b"// VERSION v2.0.0-rc.1\r\n"),
    ],
)
def test_only_the_version_changes(entry: str, before: bytes, after: bytes) -> None:
    assert read_version(before, entry) == "1.0.0"
    assert write_version(before, entry, "2.0.0-rc.1") == after


@pytest.mark.parametrize(
    ("entry", "content"),
    [
        ("a.toml:project.version", b"[project]\nname = 'x'\n"),
        ("a.toml:project.version", b"not toml"),
        ("a.json:version", b'{"version": 1}'),
        ("a.txt:missing", b"nothing\n"),
        ("a.txt:((", b"nothing\n"),
    ],
)
def test_a_place_without_a_version_is_named(entry: str, content: bytes) -> None:
    with pytest.raises(UsageFault, match="version_files"):
        write_version(content, entry, "1.0.0")


def test_the_higher_version_wins_by_precedence() -> None:
    assert higher("1.10.0", "1.9.0") == "1.10.0"
    assert higher("1.0.0-rc.1", "1.0.0") == "1.0.0"
    assert higher("1.2.0-dev", "1.1.0") == "1.2.0-dev"
    assert higher("nonsense", "0.0.1") == "0.0.1"
