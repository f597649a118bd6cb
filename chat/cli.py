"""The `chat` command line: a table of verbs, each imported only when it is called."""

import sys
from importlib import import_module
from importlib.metadata import version as version_of
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command


class Verb(NamedTuple):
    """Where a verb's code is (a function, or a Typer app for a family), and its line in `chat --help`."""

    module: str
    attribute: str
    help: str


VERBS: dict[str, Verb] = {
    "serve": Verb("serve", "run", "serve the chat until SIGTERM"),
    "migrate": Verb("migrate", "run", "bring the database to this release's schema"),
    "user": Verb("user", "app", "disable and enable accounts, reset passwords, invite"),
    "keys": Verb("key", "app", "rotate the keys that sign access tokens"),
    "backup": Verb("backup", "make", "write a consistent copy of all data to one file, while the server runs"),
    "restore": Verb("backup", "restore", "put a backup in the place of the database"),
    "doctor": Verb("doctor", "run", "check the data, and mend what can be mended"),
}
HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


class LazyVerbs(TyperGroup):
    """A group that knows its commands by name and imports one only to run it or to show its help."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        found = getattr(import_module(f"chat.commands.{verb.module}"), verb.attribute)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False, rich_markup_mode=None)
            single.command(cmd_name, context_settings=HELP_OPTIONS)(found)
            found = single
        command = get_command(found)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


app = typer.Typer(
    cls=LazyVerbs,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings=HELP_OPTIONS,
)


def _print_version(value: bool) -> None:
    if value:
        print(f"chat {version_of('opskit')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _chat(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """A real-time chat server.

    Example: chat serve --bind 127.0.0.1:8000 --data-dir ./data
    """


def main() -> None:
    """Run one command and leave with its exit code."""
    try:
        app(prog_name="chat")
    except KeyboardInterrupt:
        print("chat: interrupted", file=sys.stderr)
        sys.exit(130)
