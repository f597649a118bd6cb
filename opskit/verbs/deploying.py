"""What the verbs `deploy` and `rollback` share: the last JSON line, and the plan of a dry run."""

from collections.abc import Sequence

from opskit.deploy.context import Context
from opskit.deploy.plan import Planned
from opskit.deploy.run import Run
from opskit.report import SCHEMA


def show_plan(context: Context, steps: Sequence[Planned]) -> None:
    """Print what would be done."""
    width = max(len(planned.step.value) for planned in steps)
    for planned in steps:
        context.report.say(f"  {planned.step.value:<{width}}  {planned.does}")
        context.report.line(step=planned.step.value, status="planned", seconds=0.0, does=planned.does)
    context.report.say("nothing was changed (--dry-run)")


def last_line(run: Run) -> None:
    """The last JSON line of an operation that ended."""
    url = run.control.status().public_url if run.control.alive() else None
    run.context.report.line(schema=SCHEMA, **run.fields, result=run.result, commit=run.intent.commit, url=url)
