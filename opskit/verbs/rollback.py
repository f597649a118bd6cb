"""`opskit rollback`: back to the release before."""

from typing import Annotated

import typer

from opskit.deploy import returning
from opskit.deploy.checks import health
from opskit.deploy.context import Context, open_context
from opskit.deploy.run import Run
from opskit.errors import UsageFault
from opskit.report import Report
from opskit.verbs.deploying import last_line, show_plan
from opskit.verbs.options import DryRun, JsonLines, Target, Yes, asks, confirm, not_empty

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def rollback(
    *,
    to: Annotated[
        str,
        typer.Option("--to", metavar="V", callback=not_empty, help="A retained release; default: the one before."),
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")] = "",
    target: Target = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    json: JsonLines = False,
) -> None:
    """Go back to the parked release at once, else to the newest retained one that no rollback has left.

    Example: opskit rollback --reason "500s on the chat endpoint"
    """
    reason = " ".join(reason.split())
    if not reason:
        raise UsageFault(
            "--reason is missing: say why, for those who read the record",
            remedy='opskit rollback --reason "500s on the chat endpoint"',
        )
    context = open_context(Report(as_json=json), target)
    steps = returning.planned(context, to)
    if dry_run:
        show_plan(context, steps)
        return
    agreed = returning.choice(context, to) if asks(yes=yes) else None
    confirm(f"{steps[0].does}. Go on?", yes=yes)
    run = returning.rollback(context, to=to, reason=reason, agreed=agreed)
    _say_what_now(context, run)
    last_line(run)


def _say_what_now(context: Context, run: Run) -> None:
    say = context.report.say
    which = f" --target {context.name}" if len(context.config.targets) > 1 else ""
    status = run.control.status()
    verdict = health(status.public_url, context.target.health)
    left = run.before.release.version if run.before else "nothing"
    say()
    say("Status")
    say(f"  running  {run.intent.version} ({run.intent.commit[:12]}) on {status.public_url}, "
        f"{'healthy' if verdict.ok else verdict.saw}")  # fmt: skip
    say(f"  left     {left}, kept for looking into; no later rollback chooses it")
    say(f"  reason   {run.intent.reason}")
    say("Next steps")
    say(f"  1. what {left} fixed is broken again: tell those who wait for it")
    say(f"  2. find the cause: opskit logs{which}")
    say(f"  3. fix it: opskit hotfix start NAME; then opskit deploy{which}")
