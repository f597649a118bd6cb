"""`opskit doctor`: is everything here that opskit needs?"""

import sys

import typer

from opskit.errors import Bad
from opskit.report import Report
from opskit.verbs.options import Json

app = typer.Typer(rich_markup_mode=None)


@app.command()
def doctor(*, json: Json = False) -> None:
    """Check git, Python, configuration, remote and targets.

    Example: opskit doctor --json
    """
    report = Report(as_json=json)
    python = sys.version_info >= (3, 11)
    version = ".".join(map(str, sys.version_info[:3]))
    remedy = "" if python else "install Python 3.11 or newer"
    findings = [{"check": "python", "ok": python, "detail": version, "remedy": remedy}]
    for finding in findings:
        report.say(f"{'✓' if finding['ok'] else '✗'} {finding['check']}: {finding['detail']}")
    report.result(findings=findings)
    if not python:
        raise Bad("opskit found something to mend", remedy=remedy)
