"""`opskit doctor`: is everything here that opskit needs?"""

from collections.abc import Iterator
from pathlib import Path

import typer

from opskit.deploy import preflight
from opskit.deploy.context import context_of
from opskit.deploy.standing import standing
from opskit.deploy.survive import installed
from opskit.doctor import RELEASE_CHECKS, Check, Finding, Patient, examine
from opskit.report import Report
from opskit.verbs.options import Json

app = typer.Typer(rich_markup_mode=None, add_completion=False)


def targets(patient: Patient) -> Iterator[Finding]:
    """Is every target that is up healthy, is nothing half-done there, and will it survive a reboot?"""
    for name in patient.config.targets:
        context = context_of(patient.git, patient.config, name, Report(as_json=True))
        facts, check = standing(context), f"target {name}"
        for fault in preflight.warnings(context):
            yield Finding(f"alerts {name}", False, fault, "mend it, then deploy again")
        if facts["operation"]:
            yield Finding(check, False, facts["operation"]["detail"], "opskit deploy --resume, or --abort")
        if facts.get("fault"):
            errors = f"see {context.layout.logs}/opskit.err; opskit stop ends it all the same"
            yield Finding(check, context.target.driver != "host", facts["fault"], errors)
            continue
        if not facts["up"]:
            yield Finding(check, True, "nothing is in service")
            continue
        told = f"{facts['release']} is in service" if facts["healthy"] else "it is not healthy"
        yield Finding(check, bool(facts["healthy"]), told, "opskit logs")
        place = installed(context)
        detail = f"installed: {place}" if place else "after a reboot it stays down"
        yield Finding(f"reboot {name}", bool(place), detail, f"opskit target install --target {name}")


CHECKS: tuple[Check, ...] = (*RELEASE_CHECKS, targets)


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
