"""`opskit init`: a commented configuration for the repository it stands in."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from opskit.config import from_mapping, parse_toml
from opskit.errors import Refused
from opskit.git.runner import Git
from opskit.release.starting import propose
from opskit.report import Report
from opskit.verbs.options import DryRun, Json, Yes, agreed

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def init(
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an opskit.toml that is there.")] = False,
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Write opskit.toml for this repository, with what can be seen in it filled in and everything explained.

    Example: opskit init --dry-run
    """
    report = Report(as_json=json)
    git = Git.discover(Path.cwd())
    file = git.directory / "opskit.toml"
    project = git.directory / "pyproject.toml"
    if project.is_file() and parse_toml(project).get("tool", {}).get("opskit"):
        raise Refused("pyproject.toml has a [tool.opskit] section already", remedy="edit it, or remove it first")
    text = propose(git)
    if dry_run:
        report.say(text)
        report.result(path=file.name, text=text, dry_run=True)
        return
    if file.exists() and not overwrite and not _agreed(file, yes=yes):
        raise Refused(f"{file.name} exists already and stays as it is", remedy="opskit init --overwrite replaces it")
    file.write_text(text, encoding="utf-8")
    from_mapping(parse_toml(file), source=file.name)
    report.say(f"{file.name} is written; read it, change what does not fit, commit it")
    report.result(path=file.name, text=text, dry_run=False)


def _agreed(file: Path, *, yes: bool) -> bool:
    """Nothing is overwritten unasked: off a terminal the answer is no, whatever `--yes` says of other questions."""
    if yes or not sys.stdin.isatty():
        return False
    return agreed(f"Replace {file.name}?", default=False)
