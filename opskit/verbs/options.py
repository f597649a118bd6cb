"""The options that many verbs share, spelled once."""

import sys
from typing import Annotated, Any

import typer

from opskit.errors import Refused, UsageFault


def not_empty(context: typer.Context, parameter: typer.CallbackParam, value: str) -> str:
    """A value that may be left out, but not given as "": that is a script's variable which nobody set."""
    source: Any = context.get_parameter_source(str(parameter.name))
    if not value.strip() and source is not None and source.name == "COMMANDLINE":
        name = parameter.opts[0] if parameter.param_type_name == "option" else str(parameter.metavar or parameter.name)
        raise UsageFault(f"{name} is empty", remedy="give it a value, or leave it out")
    return value


Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; people's text goes to stderr.")]
JsonLines = Annotated[bool, typer.Option("--json", help="JSON Lines on stdout; people's text goes to stderr.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan that would run; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Target = Annotated[
    str,
    typer.Option("--target", "-t", callback=not_empty, help="A target of the configuration; default: the only one."),
]


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal, elsewhere or with *yes* go on; raises `Refused` if the answer is no."""
    if asks(yes=yes) and not agreed(question, default=True):
        raise Refused("not confirmed; nothing was changed", remedy="say yes, or use --yes")


def asks(*, yes: bool) -> bool:
    """True if `confirm` would ask."""
    return not yes and sys.stdin.isatty() and sys.stderr.isatty()


def agreed(question: str, *, default: bool) -> bool:
    """Ask until the answer is yes or no; Enter is *default*, the end of the input (Ctrl-D) no."""
    answers = {"y": True, "yes": True, "n": False, "no": False, "": default}
    while True:
        print(f"{question} {'[Y/n]' if default else '[y/N]'} ", end="", file=sys.stderr, flush=True)
        try:
            answer = input().strip().lower()
        except EOFError:
            print(file=sys.stderr)
            return False
        if answer in answers:
            return answers[answer]
