"""`opskit deploy`: put a commit into service on a target."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from opskit.deploy import deploying, history, source
from opskit.deploy.context import Context, open_context
from opskit.deploy.deploying import Wish
from opskit.deploy.run import Detached, Run
from opskit.errors import UsageFault
from opskit.report import Report
from opskit.verbs.deploying import last_line, show_plan
from opskit.verbs.options import DryRun, JsonLines, Target, Yes, asks, confirm, not_empty

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Ref = Annotated[
    str,
    typer.Argument(callback=not_empty, help="A tag, branch, version or commit; default: the newest release on main."),
]


@app.command()
def deploy(
    ref: Ref = "",
    *,
    target: Target = "",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return after cut-over; the supervisor watches.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the one that was cut off.")] = False,
    abort: Annotated[bool, typer.Option("--abort", help="Take back the one that was cut off.")] = False,
    break_glass: Annotated[
        str, typer.Option("--break-glass", metavar="WHY", help="Pass freeze windows and `require`; it is recorded.")
    ] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    json: JsonLines = False,
) -> None:
    """Put a commit into service without refusing a connection; what fails is put back.

    Example: opskit deploy v1.2.0 --target local
    """
    if (resume or abort) and (ref or break_glass or no_wait or (resume and abort)):
        raise UsageFault("--resume and --abort go alone: what is half-done knows its release", remedy="drop the rest")
    context = open_context(Report(as_json=json), target)
    wish = Wish(ref=ref, wait=not no_wait, break_glass=break_glass)
    if dry_run:
        way = deploying.planned_resume if resume else deploying.planned_abort if abort else None
        show_plan(context, way(context) if way else deploying.planned(context, wish))
        return
    if abort:
        run = deploying.abort(context)
        context.report.say(f"taken back: {run.intent.kind} of {run.intent.version}")
        last_line(run)
        return
    if not resume:
        deploying.refuse_if_busy(context)
        wish = replace(wish, agreed=_say_what_goes(context, ref, yes=yes))
    try:
        run = deploying.resume(context) if resume else deploying.deploy(context, wish)
    except Detached as detached:
        context.report.say(f"see how it goes on: opskit status --target {context.name}")
        last_line(detached.run)
        raise
    _say_where(context, run)
    last_line(run)


def _say_what_goes(context: Context, ref: str, *, yes: bool) -> str:
    """Ask where there is somebody to ask; returns the commit they agreed to, "" if nobody was asked."""
    wanted = source.resolve(context.git, context.config, ref)
    dirty = source.dirty_files(context.git)
    if dirty and wanted.commit == source.head(context.git):
        files = "1 changed or new file here is" if dirty == 1 else f"{dirty} changed or new files here are"
        context.report.warn(f"{files} not part of it: the commit {wanted.commit[:12]} is deployed")
    left = history.left_because_of(history.read(context.layout.history), wanted.release)
    if left is not None:
        context.report.warn(f"{wanted.version} was rolled back at {left.at}: {left.reason}")
    confirm(f"Deploy {wanted.version} ({wanted.commit[:12]}) to {context.name}?", yes=yes)
    return wanted.commit if asks(yes=yes) else ""


def _say_where(context: Context, run: Run) -> None:
    say = context.report.say
    if run.result == "superseded":
        say(f"{run.intent.version} was in service and is superseded; see opskit status --target {context.name}")
        return
    status = run.control.status()
    which = f" --target {context.name}" if len(context.config.targets) > 1 else ""
    end = f"opskit stop{which}"
    if _has_stop_target(context.git.directory):
        end = f"make stop (or {end})"
    say()
    say(f"{run.intent.version} serves {status.public_url}")
    say(f"logs: opskit logs -f{which}, or {context.layout.logs}")
    say(f"stop: {end}")


def _has_stop_target(root: Path) -> bool:
    try:
        return any(line.startswith("stop:") for line in (root / "Makefile").read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError):
        return False
