"""`opskit doctor`: is everything here that opskit needs?"""

from pathlib import Path

import typer

from opskit.doctor import RELEASE_CHECKS, Check, examine
from opskit.report import Report
from opskit.verbs.options import Json

app = typer.Typer(rich_markup_mode=None, add_completion=False)

CHECKS: tuple[Check, ...] = RELEASE_CHECKS  # a part with checks of its own adds them here


@app.command()
def doctor(*, json: Json = False) -> None:
    """Check git, Python, configuration, remote, branches, clock, ledger and targets; findings: 1.

    Example: opskit doctor --json
    """
    report = Report(as_json=json)
    findings = examine(Path.cwd(), CHECKS)
    for finding in findings:
        report.say(f"{'✓' if finding.ok else '✗'} {finding.check}: {finding.detail}")
        if not finding.ok and finding.remedy:
            report.say(f"    {finding.remedy}")
    report.result(findings=[finding.as_json() for finding in findings])
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
