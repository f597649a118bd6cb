"""`opskit ci`: the configured steps on one commit."""

from typing import Annotated

import typer

from opskit import ci
from opskit.report import Report
from opskit.transaction import open_desk
from opskit.verbs.options import DryRun, Json, Yes

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(name="ci")
def run(
    ref: Annotated[str, typer.Argument(help="A branch, tag or commit.")] = "HEAD",
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run even if the tree is known to be green.")] = False,
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - every changing command takes it; this one has nothing to ask
) -> None:
    """Run the configured steps in a clean work tree of exactly that commit; a green verdict is kept for its tree.

    Example: opskit ci v1.2.0
    """
    report = Report(as_json=json)
    desk = open_desk(report)
    if dry_run:
        sha, tree = ci.resolve(desk.git, ref)
        report.say(f"on {sha[:12]}:" if desk.config.ci.steps else "no steps are configured (tool.opskit.ci)")
        for name, command in desk.config.ci.steps:
            report.say(f"  {name}: {command}")
        report.result(dry_run=True, sha=sha, tree=tree, steps=[name for name, _ in desk.config.ci.steps])
        return
    verdict = ci.run(desk.git, desk.config, ref, report, fresh=fresh)
    report.say(f"{verdict.verdict} on {verdict.sha[:12]}")
    report.result(**verdict.as_json())
    if not verdict.green:
        raise typer.Exit(1)
