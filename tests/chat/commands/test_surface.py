"""What every command of `chat` has in common."""

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from chat.cli import app


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


GROUPS = ["user", "keys"]
COMMANDS = dict(_commands(get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_an_example_that_it_understands(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    _, _, example = command.help.partition(f"Example: chat {' '.join(words)}")
    assert example, command.help
    command.make_context(words[-1], example.split("\n\n")[0].split())


@pytest.mark.parametrize("name", GROUPS)
def test_every_group_shows_an_example_of_a_command_of_its_own(name: str) -> None:
    group: Any = get_command(app)
    shown = group.get_command(None, name).help
    words = shown.partition("Example: chat ")[2].split()
    assert tuple(words[:2]) in COMMANDS, shown
