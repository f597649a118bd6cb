"""The runbooks of this part: one page each, and every command in them is one that opskit has."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from opskit.cli import VERBS, app

RUNBOOKS = Path(__file__).resolve().parents[3] / "runbooks"
HEADINGS = ("**Signal**", "**Check**", "**Act**", "**Undo**", "**Escalate**")


@pytest.mark.parametrize("name", ["deploy", "rollback", "crash-loop"])
def test_a_runbook_is_one_page_and_its_commands_exist(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert [text.index(heading) for heading in HEADINGS] == sorted(text.index(heading) for heading in HEADINGS)
    commands = re.findall(r"^\$ opskit (.+)$", text, re.MULTILINE)
    assert commands
    for command in commands:
        verb, *arguments = shlex.split(command)
        if verb in VERBS:
            accept(verb, arguments)


def accept(verb: str, arguments: list[str]) -> None:
    """Parse a call as the command line would, without running it; a wrong one raises."""
    command = get_command(app).get_command(None, verb)  # type: ignore[attr-defined]  # a group, whatever typer calls it
    command.make_context(verb, list(arguments))
