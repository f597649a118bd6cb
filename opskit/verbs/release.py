"""`opskit release` and `opskit undo`."""

from typing import Annotated, Any

import typer

from opskit import transaction
from opskit.desk import Desk
from opskit.errors import UsageFault
from opskit.release.plan import Kind, Plan
from opskit.report import Report
from opskit.transaction import open_desk
from opskit.verbs.options import DryRun, Json, Yes, asks, confirm, not_empty

app = typer.Typer(rich_markup_mode=None, add_completion=False)
undo_app = typer.Typer(rich_markup_mode=None, add_completion=False)

Continue = Annotated[bool, typer.Option("--continue", help="Finish what is half-done.")]
Abort = Annotated[bool, typer.Option("--abort", help="Put the references back as they were before.")]


@app.command()
def release(
    version: Annotated[
        str, typer.Argument(callback=not_empty, help="The version, with or without its prefix; default: inferred.")
    ] = "",
    *,
    prepare: Annotated[bool, typer.Option("--prepare", help="Publish release/vV from develop, to stabilise.")] = False,
    pre: Annotated[
        str, typer.Option("--pre", callback=not_empty, help="Tag a candidate vV-LABEL.N on the release branch.")
    ] = "",
    go_on: Continue = False,
    abort: Abort = False,
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Release what waits on develop: changelog, merge to main, tag and back-merge, published whole or not at all.

    Example: opskit release --dry-run
    """
    if sum((prepare, bool(pre), go_on, abort)) > 1 or (version and (go_on or abort)):
        raise UsageFault("--prepare, --pre, --continue and --abort exclude one another, the last two a version too")
    carry_through(
        "release",
        {"wanted": version, "prepare": prepare, "pre": pre},
        go_on,
        abort,
        json=json,
        dry_run=dry_run,
        yes=yes,
    )


@undo_app.command()
def undo(
    *,
    go_on: Continue = False,
    abort: Abort = False,
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Take back the last release or hotfix, while its references are as it left them and nothing deployed it.

    Example: opskit undo --dry-run
    """
    carry_through("undo", {}, go_on, abort, json=json, dry_run=dry_run, yes=yes)


def carry_through(
    verb: str, call: dict[str, Any], go_on: bool, abort: bool, *, json: bool, dry_run: bool, yes: bool
) -> None:
    """Run, finish, give up or only show an operation, and report it."""
    report = Report(as_json=json)
    desk = open_desk(report)
    if abort:
        _give_up(desk, report, dry_run=dry_run)
        return
    at_s, shown = transaction.moment_s(), None
    if dry_run or (not go_on and asks(yes=yes)):
        shown = transaction.proceeding(desk) if go_on else transaction.dry_run(desk, verb, at_s=at_s, **call)
        _show(report, shown)
        if dry_run:
            report.result(dry_run=True, **_fields(shown, published=False))
            return
        confirm(f"Go on with {shown.title}?", yes=yes)
    plan = transaction.proceed(desk) if go_on else transaction.run(desk, verb, at_s=at_s, shown=shown, **call)
    following = "; next: opskit deploy" if plan.kind in (Kind.RELEASE, Kind.HOTFIX) else ""
    report.say(f"{plan.title} is done{following}")
    report.result(**_fields(plan, published=bool(plan.remote)))


def _give_up(desk: Desk, report: Report, *, dry_run: bool) -> None:
    if dry_run:
        verb, back = transaction.giving_up(desk)
        report.say(f"{verb} would be given up; references that would move back: {len(back)}")
        moves = [{"ref": one.ref, "old": one.old or None, "new": one.new or None} for one in back]
        report.result(dry_run=True, aborted=verb, refs=moves, published=False)
        return
    verb = transaction.give_up(desk)
    report.say(f"{verb} given up: every reference is as it was before")
    report.result(aborted=verb, refs=[], published=False)


def _show(report: Report, plan: Plan) -> None:
    report.say(f"{plan.title}:")
    for line in plan.checklist():
        report.say(f"  {line}")
    if plan.notes:
        report.say(f"\n{plan.notes}")


def _fields(plan: Plan, *, published: bool) -> dict[str, Any]:
    return {
        "version": plan.version,
        "tag": plan.tag or None,
        "notes": plan.notes,
        "refs": plan.refs(),
        "published": published,
    }
