"""`opskit runbook list | show NAME`: one page for each situation."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from opskit.errors import UsageFault
from opskit.report import Report
from opskit.verbs.options import Json

app = typer.Typer(rich_markup_mode=None, add_completion=False, invoke_without_command=True)


@app.callback()
def runbook(context: typer.Context, *, json: Json = False) -> None:
    """One page each: Signal, Check, Act, Undo, Escalate.

    Example: opskit runbook show release
    """
    if context.invoked_subcommand is None:
        list_pages(json=json)


@app.command(name="list")
def list_pages(*, json: Json = False) -> None:
    """Name the runbooks.

    Example: opskit runbook list
    """
    report = Report(as_json=json)
    found = pages()
    for name, text in found.items():
        report.say(f"{name:<14} {_title(text)}")
    report.result(runbooks=[{"name": name, "title": _title(text)} for name, text in found.items()])


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="As `opskit runbook list` names it.")], *, json: Json = False
) -> None:
    """Print one.

    Example: opskit runbook show hotfix
    """
    report = Report(as_json=json)
    found = pages()
    if name not in found:
        raise UsageFault(f"there is no runbook {name!r}", remedy=f"there are: {', '.join(found)}")
    report.say(found[name])
    report.result(name=name, text=found[name])


def pages() -> dict[str, str]:
    """Every runbook by name: those that came with opskit, and over them those in `runbooks/` of this directory."""
    shipped = Path(str(files("opskit"))) / "_runbooks"
    checkout = Path(__file__).parents[2] / "runbooks"
    found = {}
    for place in (shipped if shipped.is_dir() else checkout, Path.cwd() / "runbooks"):
        for page in sorted(place.glob("*.md")):
            if page.stem != "README":
                found[page.stem] = page.read_text(encoding="utf-8")
    return dict(sorted(found.items()))


def _title(text: str) -> str:
    return text.lstrip().splitlines()[0].lstrip("# ")
