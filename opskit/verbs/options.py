"""The options that many verbs share, spelled once."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; people's text goes to stderr.")]
JsonLines = Annotated[bool, typer.Option("--json", help="JSON Lines on stdout; people's text goes to stderr.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan that would run; change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Target = Annotated[str, typer.Option("--target", "-t", help="A target of the configuration; default: the only one.")]
