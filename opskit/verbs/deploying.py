"""What the verbs `deploy` and `rollback` share: asking, the last JSON line, and the plan of a dry run."""

import signal
import sys
from collections.abc import Sequence

import typer

from opskit.deploy.context import Context
from opskit.deploy.plan import Planned
from opskit.deploy.run import Run
from opskit.errors import Refused
from opskit.report import SCHEMA


def show_plan(context: Context, steps: Sequence[Planned]) -> None:
    """Print what would be done."""
    width = max(len(planned.step.value) for planned in steps)
    for planned in steps:
        context.report.say(f"  {planned.step.value:<{width}}  {planned.does}")
        context.report.line(step=planned.step.value, status="planned", seconds=0.0, does=planned.does)
    context.report.say("nothing was changed (--dry-run)")


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal; elsewhere, or with --yes, go on."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty() and not typer.confirm(question, default=True, err=True):
        raise Refused("not confirmed; nothing was changed", remedy="say yes, or use --yes")


def last_line(run: Run) -> None:
    """The last JSON line of an operation that ended."""
    url = run.control.status().public_url if run.control.alive() else None
    run.context.report.line(schema=SCHEMA, **run.fields, result=run.result, commit=run.intent.commit, url=url)


def stop_like_ctrl_c() -> None:
    """Have SIGTERM and SIGHUP end the operation as an interrupt does: put back, then exit 130."""

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
