"""`opskit target`: whether the service survives a reboot."""

import typer

from opskit.deploy import survive
from opskit.deploy.context import open_context
from opskit.report import Report
from opskit.verbs.options import DryRun, Json, Target, Yes, confirm

app = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="Have the service survive a reboot.\n\nExample: opskit target install",
)


@app.command()
def install(*, target: Target = "", dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """Have the service come back after a reboot: a systemd unit, else cron's @reboot.

    Example: opskit target install --dry-run
    """
    context = open_context(Report(as_json=json), target)
    survival = survive.planned(context)
    if dry_run:
        context.report.say(f"would write to {survival.where}:\n{survival.text}")
    else:
        confirm(f"Write {survival.where}?", yes=yes)
        survive.install(context, survival)
        context.report.say(f"target {context.name} comes back after a reboot: {survival.where}")
    context.report.result(
        target=context.name, way=survival.way.value, where=survival.where, text=survival.text, installed=not dry_run
    )


@app.command()
def uninstall(*, target: Target = "", dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """Take that back; what runs goes on (opskit stop ends it).

    Example: opskit target uninstall
    """
    context = open_context(Report(as_json=json), target)
    if dry_run:
        where = survive.installed(context)
        context.report.say(f"would remove {where}" if where else "nothing is installed")
        context.report.result(target=context.name, removed=[], would_remove=[where] if where else [])
        return
    confirm(f"Take target {context.name} out of what starts after a reboot?", yes=yes)
    gone = survive.uninstall(context)
    context.report.say(f"removed: {', '.join(gone)}" if gone else "nothing was installed")
    context.report.result(target=context.name, removed=gone)
