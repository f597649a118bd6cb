"""`opskit runbook list | show NAME | run NAME`: one page for each situation."""

import re
import shlex
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from opskit.errors import Exit, UsageFault
from opskit.report import Report
from opskit.verbs.options import DryRun, Json, Yes, agreed, asks

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
    text = _page(name)
    report.say(text)
    report.result(name=name, text=text)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="As `opskit runbook list` names it.")],
    *,
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Run what a page says under Check and first under Act, asking before each; the first that fails ends it.

    What follows depends on how that ends: read on in the page.

    Example: opskit runbook run release --dry-run
    """
    report = Report(as_json=json)
    done: list[dict[str, Any]] = []
    for command in commands(_page(name)):
        skipped = dry_run or (asks(yes=yes) and not agreed(f"{command}?", default=True))
        report.say(f"{'-' if skipped else '$'} {command}")
        code = None if skipped else _run(command, out=sys.stderr.fileno() if json else None)
        done.append({"command": command, "exit_code": code})
        if code:
            break
    failed = int(next((step["exit_code"] for step in done if step["exit_code"]), 0))
    report.say(f"read on: opskit runbook show {name}")
    report.result(name=name, steps=done, **({"dry_run": True} if dry_run else {}))
    if failed:
        raise typer.Exit(failed)


def commands(page: str) -> list[str]:
    """The `opskit` commands of a page that come first: all under Check, and the first block under Act."""
    check, _, act = page.partition("**Check**")[2].partition("**Act**")
    blocks = re.findall(r"```console\n(.*?)```", act.partition("**Undo**")[0], re.DOTALL)
    return re.findall(r"(?m)^\$ (opskit .*?)\s*$", check + (blocks[0] if blocks else ""))


def _run(command: str, *, out: int | None) -> int:
    words = shlex.split(command)[1:]
    done = subprocess.run([sys.executable, "-P", "-m", "opskit", *words], check=False, stdout=out)
    return done.returncode if done.returncode >= 0 else Exit.INTERRUPTED


def _page(name: str) -> str:
    """The text of a page; raises `UsageFault` naming those there are."""
    found = pages()
    if name not in found:
        raise UsageFault(f"there is no runbook {name!r}", remedy=f"there are: {', '.join(found)}")
    return found[name]


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
