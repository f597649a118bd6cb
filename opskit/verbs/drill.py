"""`opskit drill`: a rehearsal with the real commands, in a sandbox that touches nothing of the user's."""

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from opskit.errors import Bad, Refused, UsageFault
from opskit.report import Report
from opskit.verbs.options import DryRun, JsonLines, Yes, not_empty

if TYPE_CHECKING:
    from opskit.drill.runner import Scenario

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def drill(
    scenario: Annotated[
        str, typer.Argument(callback=not_empty, help="As --list names it.", metavar="[SCENARIO]")
    ] = "coffee",
    *,
    list_: Annotated[bool, typer.Option("--list", help="Name the scenarios.")] = False,
    practice: Annotated[bool, typer.Option("--practice", help="You type the commands; needs a terminal.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the sandbox's files; nothing runs in it any more.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - it asks nothing, and changes nothing outside its sandbox
    json: JsonLines = False,
) -> None:
    """Rehearse a release that goes wrong, with the real commands and processes, in a temporary sandbox.

    The first step that does not come out as it should ends it with 1, and the sandbox is kept. With --practice it stops
    before each command: `hint` shows it, `skip` runs it.

    Example: opskit drill coffee
    """
    report = Report(as_json=json)
    if list_:
        _list(report)
        return
    chosen = _chosen(scenario)
    if dry_run:
        for number, step in enumerate(chosen.steps, start=1):
            report.say(f"{number:>2} {step.goal}\n   $ {step.command}")
        steps = [{"step": step.goal, "command": step.command} for step in chosen.steps]
        report.result(dry_run=True, scenario=chosen.name, steps=steps)
        return
    if practice and not sys.stdin.isatty():
        raise Refused(
            "--practice waits for a person to type, and standard input is no terminal",
            remedy=f"run it in a terminal, or watch the drill: opskit drill {chosen.name}",
        )
    carry_out(chosen, report, practice=practice, keep=keep)


def carry_out(chosen: "Scenario", report: Report, *, practice: bool, keep: bool) -> None:
    """Make the sandbox, run the steps, end all, tell how it went. Raises `Bad` at a step that failed."""
    from opskit.drill.runner import run, summary, summary_lines
    from opskit.drill.sandbox import remove, sandbox

    began, place, kept = time.monotonic(), None, keep
    try:
        with sandbox() as place:
            report.say(f"{chosen.title}\nsandbox: {place.root}, {place.url}")
            for patch in chosen.before:
                place.commit_patch(patch)
            done = run(chosen, place, report, practice=practice)
            found = summary(place, done)
        kept = keep or not done[-1].ok
    finally:
        if place is not None and not kept:
            remove(place)
    seconds = round(time.monotonic() - began, 1)
    told = {"scenario": chosen.name, "steps": len(done), "seconds": seconds, **found}
    told["sandbox"] = str(place.root) if kept else None
    if not done[-1].ok:
        raise Bad(
            f"the drill {chosen.name} stopped at step {len(done)}, {done[-1].step.goal}: {done[-1].detail}",
            remedy=f"its sandbox is kept, and nothing runs in it any more: {place.root}",
            fields={"result": "failed", **told},
        )
    report.say(f"\n{chosen.name}: {len(done)} steps in {seconds:.0f} s")
    for line in summary_lines(found):
        report.say(f"  {line}")
    if kept:
        report.say(f"  sandbox    {place.root}, kept; nothing runs in it any more")
    report.result(result="done", **told)


def _list(report: Report) -> None:
    found = _scenarios()
    for name, one in found.items():
        report.say(f"{name:<12} {one.title}")
    report.result(scenarios=[{"name": name, "title": one.title} for name, one in found.items()])


def _chosen(name: str) -> "Scenario":
    found = _scenarios()
    if name not in found:
        raise UsageFault(f"there is no drill {name!r}", remedy=f"there are: {', '.join(found)}")
    return found[name]


def _scenarios() -> "dict[str, Scenario]":
    from opskit.drill import bad_deploy, coffee

    return {one.name: one for one in (coffee.SCENARIO, bad_deploy.SCENARIO)}
