"""Every `opskit …` command in a runbook exists and parses."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command

from opskit.cli import app

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
PAGES = sorted(page for page in RUNBOOKS.glob("*.md") if page.stem != "README")
COMMAND = re.compile(r"^\$ (opskit [^\n#|>]+)|`(opskit [^`]+)`", re.MULTILINE)
USAGE_FAULT: type[Exception] = typer.BadParameter.__mro__[1]  # UsageError, which typer does not export
PARTS = ("**Signal**", "**Check**", "**Act**", "**Undo**", "**Escalate**")


def commands(page: Path) -> list[str]:
    return [(line or inline).strip() for line, inline in COMMAND.findall(page.read_text(encoding="utf-8"))]


def parse(command: str) -> None:
    """Parse as the shell and opskit would, without running anything."""
    words = shlex.split(command)[1:]
    at: Any = get_command(app)
    context = None
    while isinstance(at, TyperGroup) and words and not words[0].startswith("-"):
        found = at.get_command(context, words[0])  # type: ignore[arg-type]  # our group does not look at it
        assert found is not None, f"{command}: there is no {words[0]}"
        at, words = found, words[1:]
    if isinstance(at, TyperGroup):
        assert not words or words[0] in ("--help", "--version"), command
        return
    at.make_context(at.name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_in_a_runbook_exists_and_parses(page: Path) -> None:
    found = commands(page)
    assert found
    for command in found:
        try:
            parse(command)
        except USAGE_FAULT as fault:
            pytest.fail(f"{page.name}: {command}: {fault}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_is_one_page_with_its_five_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    places = [text.find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)
    assert len(text.splitlines()) <= 80


def test_a_command_that_does_not_exist_would_be_found() -> None:
    with pytest.raises((AssertionError, USAGE_FAULT)):
        parse("opskit release --prepared")
    with pytest.raises(AssertionError):
        parse("opskit relaese")
