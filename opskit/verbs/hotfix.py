"""`opskit hotfix start | check | approve | reject | finish`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from opskit import transaction
from opskit.deploy.source import resolve
from opskit.desk import Desk
from opskit.errors import UsageFault
from opskit.git import refs
from opskit.git.refs import BRANCH
from opskit.git.runner import Git
from opskit.hotfix import check as checks
from opskit.hotfix import review as reviews
from opskit.hotfix.start import plan_start
from opskit.hotfix.start import start as begin
from opskit.incident.names import canonical
from opskit.incident.record import PREFIX, choose, incidents
from opskit.release.plan_hotfix import open_hotfix
from opskit.release.plan_world import read_world, tip
from opskit.report import Report
from opskit.transaction import open_desk
from opskit.verbs.options import DryRun, Json, Yes, confirm, not_empty
from opskit.verbs.release import Abort, Continue, carry_through

Ref = Annotated[
    str, typer.Option("--ref", help="Any commit instead, for targets that require an approval; default: the hotfix.")
]

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def hotfix() -> None:
    """Repair what production runs, fast and never unreviewed.

    Example: opskit hotfix start unicode-rooms --incident INC-001
    """


@app.command()
def start(
    name: Annotated[str, typer.Argument(help="What the branch is called: hotfix/NAME.")],
    *,
    incident: Annotated[str, typer.Option("--incident", help="The incident it answers, as INC-001.")] = "",
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Begin hotfix/NAME from the newest release on main; in a work tree of its own when this one is dirty.

    Example: opskit hotfix start unicode-rooms --incident INC-001
    """
    report = Report(as_json=json)
    desk = open_desk(report)
    wanted = plan_start(desk, name)
    incident = _incident(desk, incident) if incident else ""
    base, place = wanted.base.release.tag, wanted.worktree
    for warning in wanted.warnings:
        report.warn(warning)
    where = f"in a work tree of its own, {place}" if place else "here"
    if not dry_run:
        confirm(f"Begin {wanted.branch} from {base} {where}?", yes=yes)
        begin(desk, wanted, incident=incident)
    report.say(f"{wanted.branch} {'would begin' if dry_run else 'begins'} at {base}, {where}")
    report.result(
        branch=wanted.branch,
        base=base,
        worktree=str(place) if place else None,
        incident=incident or None,
        warnings=list(wanted.warnings),
        dry_run=dry_run,
    )


@app.command()
def check(*, json: Json = False, dry_run: DryRun = False, yes: Yes = False) -> None:  # noqa: ARG001 - it asks nothing
    """Does it fix the issue, is it minimal, does all else still work, do its tests reach every changed line?

    Example: opskit hotfix check
    """
    report = Report(as_json=json)
    desk = open_desk(report)
    call: dict[str, Any] = {"current": _current(desk), "wanted": "", "override": ""}
    if dry_run:
        plan = transaction.dry_run(desk, "hotfix finish", **call)
        rows = [{"name": name, "ok": None, "detail": "not measured (--dry-run)"} for name in checks.ROW_NAMES]
        report.say(f"{plan.facts['branch']} would be checked against {plan.facts['previous']}:")
        for name in checks.ROW_NAMES:
            report.say(f"  {name}")
        report.result(dry_run=True, rows=rows, score=None, sha=plan.facts["tip"])
        return
    plan = transaction.planned(desk, "hotfix finish", **call)
    found = checks.check(desk, plan)
    report.say(f"{found.score:g} of 10 for {plan.facts['branch']} at {found.sha[:12]}")
    report.result(rows=[row.as_json() for row in found.rows], score=found.score, sha=found.sha, would_tag=plan.gate)
    if found.failed:
        raise typer.Exit(1)


@app.command()
def approve(
    *,
    reviewer: Annotated[str, typer.Option("--reviewer", help="Who reviewed it.")],
    why: Annotated[str, typer.Option("--why", help="What to remember of the review.")] = "",
    ref: Ref = "",
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Approve the hotfix as it is now; a later commit needs a new approval.

    Example: opskit hotfix approve --reviewer Ada
    """
    _review("approved", reviewer, why, ref, json=json, dry_run=dry_run, yes=yes)


@app.command()
def reject(
    *,
    reviewer: Annotated[str, typer.Option("--reviewer", help="Who reviewed it.")],
    why: Annotated[str, typer.Option("--why", help="What must change.")] = "",
    ref: Ref = "",
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Reject the hotfix as it is now.

    Example: opskit hotfix reject --reviewer Ada --why "the test passes without the fix"
    """
    _review("rejected", reviewer, why, ref, json=json, dry_run=dry_run, yes=yes)


@app.command()
def finish(
    version: Annotated[
        str, typer.Argument(callback=not_empty, help="The version, with or without its prefix; default: next patch.")
    ] = "",
    *,
    override: Annotated[str, typer.Option("--override", help="Pass failed rows; recorded, opens an action item.")] = "",
    go_on: Continue = False,
    abort: Abort = False,
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Release the hotfix: merge to main, tag, merge to develop and every open release, delete its branch.

    Example: opskit hotfix finish --dry-run
    """
    if sum((go_on, abort)) > 1 or ((version or override) and (go_on or abort)):
        raise UsageFault("--continue and --abort exclude one another, a version and --override")
    current = "" if go_on or abort else _current_here()
    call = {"current": current, "wanted": version, "override": override}
    carry_through("hotfix finish", call, go_on, abort, json=json, dry_run=dry_run, yes=yes)


def _review(verdict: str, reviewer: str, why: str, ref: str, *, json: bool, dry_run: bool, yes: bool) -> None:
    report = Report(as_json=json)
    desk = open_desk(report)
    world = read_world(desk.git, desk.remote, at_s=transaction.moment_s())
    branch = ref or open_hotfix(world, current=_current(desk))
    sha = resolve(desk.git, desk.config, ref).commit if ref else tip(desk.git, world, branch)
    if dry_run:
        report.say(f"{branch} at {sha[:12]} would be {verdict} by {reviewer}")
        report.result(sha=sha, verdict=verdict, minutes=None, dry_run=True)
        return
    confirm(f"Note {branch} at {sha[:12]} as {verdict} by {reviewer}?", yes=yes)
    given = reviews.review(desk, branch=branch, tip=sha, verdict=verdict, reviewer=reviewer, why=why)
    synced = desk.ledger.sync()
    report.say(
        f"{branch} at {sha[:12]} is {verdict} by {given.reviewer}, {_lasting(given.minutes)} after its last commit"
    )
    limit = desk.config.hotfix.review_minutes
    if given.minutes > limit:
        report.warn(f"that is more than the {limit} minutes meant for an expedited review")
    if synced.said and desk.remote:
        report.warn(synced.said)
    report.result(**given.as_json())


def _lasting(minutes: float) -> str:
    if minutes < 120:
        return f"{minutes:g} minutes"
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{minutes / (24 * 60):,.0f} days"


def _incident(desk: Desk, wanted: str) -> str:
    """The name of the incident meant. One that the ledger does not know is linked all the same: it may come later."""
    known = incidents(desk.ledger.read())  # which `plan_start` has brought up to date
    try:
        found = choose(known, wanted)
    except UsageFault as fault:
        name = canonical(wanted, prefix=PREFIX)
        desk.report.warn(f"{fault}; the hotfix is linked to {name} all the same")
        return name
    if not found.is_open:
        desk.report.warn(f"{found.name} is resolved already: {found.title}")
    return found.name


def _current(desk: Desk) -> str:
    return refs.head_branch(Git(desk.config_dir)).removeprefix(BRANCH)


def _current_here() -> str:
    return refs.head_branch(Git.discover(Path.cwd())).removeprefix(BRANCH)
