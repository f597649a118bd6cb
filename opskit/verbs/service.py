"""`opskit start`, `stop`, `restart`, `maintenance` and `unlock`: the service on a target, as it stands."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer

from opskit.deploy import deploying, history, lock, records, releases, returning
from opskit.deploy.context import Context, open_context
from opskit.deploy.control import Control, LaunchFailed, Status, ensure_running
from opskit.deploy.supervisor import state, strays
from opskit.errors import OpskitError, PutBack, Refused
from opskit.report import Report
from opskit.verbs.options import DryRun, Json, Target, Yes, confirm

start_app = typer.Typer(rich_markup_mode=None, add_completion=False)
stop_app = typer.Typer(rich_markup_mode=None, add_completion=False)
restart_app = typer.Typer(rich_markup_mode=None, add_completion=False)
maintenance_app = typer.Typer(rich_markup_mode=None, add_completion=False)
unlock_app = typer.Typer(rich_markup_mode=None, add_completion=False)


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


@start_app.command()
def start(*, target: Target = "", dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """Put the release that ran last into service again.

    Example: opskit start
    """
    context = open_context(Report(as_json=json), target)
    control = Control(context.layout.state_dir)
    held_up = control.alive()
    if held_up and (status := control.status()).running is not None:
        _tell(context, status, "is in service already:")
        return
    damaged = state.is_damaged(context.layout.state_dir)
    if not (context.layout.state_dir / state.FILE).exists():
        raise _nothing_to_start(context, f"nothing was ever deployed to target {context.name}", damaged=damaged)
    if dry_run:
        _plan(context, f"start what ran last on target {context.name} at {context.target.bind}")
        return
    confirm(f"Start target {context.name}?", yes=yes)
    with lock.held(context.layout.lock, target=context.name, operation="start"):
        control = ensure_running(context.name, context.layout.state_dir, context.target.bind)
        try:
            _tell(context, _started(context, control, damaged=damaged), "is in service:")
        except OpskitError:
            if not held_up:  # nothing may go on listening for a service that is not there
                control.stop()
            raise


@stop_app.command()
def stop(*, target: Target = "", dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """End the service and what holds it up; nothing listens afterwards.

    Example: opskit stop
    """
    context = open_context(Report(as_json=json), target)
    control = Control(context.layout.state_dir)
    left = [] if control.alive() else strays.of(context.layout.state_dir)
    if left:
        pids = ", ".join(map(str, left))
        does = f"end target {context.name}, which only processes hold up that opskit cannot reach: {pids}"
    else:
        does = f"end target {context.name}"
    runs = bool(left) or control.alive()
    if dry_run:
        _plan(context, does if runs else f"nothing: target {context.name} does not run")
        return
    if runs:
        confirm(f"End the service on target {context.name}?", yes=yes)
        context.layout.make()  # for the lock, if somebody removed it under the running service
        with lock.held(context.layout.lock, target=context.name, operation="stop"):
            records.catch_up(context)
            control.stop()
    context.report.say(f"target {context.name} is stopped" if runs else f"target {context.name} was not running")
    context.report.result(target=context.name, stopped=runs)


@restart_app.command()
def restart(*, target: Target = "", dry_run: DryRun = False, yes: Yes = False, json: Json = False) -> None:
    """Replace the running process by a fresh one of the same release, without refusing a connection.

    Example: opskit restart
    """
    context = open_context(Report(as_json=json), target)
    deploying.refuse_if_busy(context)
    control, running = returning.in_service(context)
    version, url = running.release.version, control.status().public_url
    if dry_run:
        _plan(context, f"a fresh process of {version} takes {url} over, then the old one drains")
        return
    confirm(f"Restart {version} on target {context.name}?", yes=yes)
    with lock.held(context.layout.lock, target=context.name, operation="restart"):
        deploying.refuse_if_half_done(context)
        with _told_if_it_fails(context, f"a fresh process of {version}", "the one before serves on"):
            status = control.restart()
        _tell(context, status, "is in service anew:")


@maintenance_app.command()
def maintenance(
    switch: Annotated[Switch, typer.Argument(help="on: answer 503 with Retry-After. off: serve again.")],
    *,
    target: Target = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Answer every request with 503 and Retry-After, or serve again.

    Example: opskit maintenance on
    """
    context = open_context(Report(as_json=json), target)
    control, running = returning.in_service(context)
    if dry_run:
        answers = "503 with Retry-After" if switch is Switch.ON else running.release.version
        _plan(context, f"{control.status().public_url} answers {answers}; {running.release.version} goes on running")
        return
    if switch is Switch.ON:
        confirm(f"Answer 503 on target {context.name} until `opskit maintenance off`?", yes=yes)
    with lock.held(context.layout.lock, target=context.name, operation=f"maintenance {switch.value}"):
        status = control.maintenance(switch is Switch.ON)
    context.report.say(f"maintenance is {switch.value}: {status.public_url}")
    context.report.result(target=context.name, maintenance=status.maintenance, url=status.public_url)


@unlock_app.command()
def unlock(
    *,
    target: Target = "",
    force: Annotated[bool, typer.Option("--force", help="Also from a holder that is not proven gone.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Free the lock of a target. One whose holder is provably gone frees itself.

    Example: opskit unlock
    """
    context = open_context(Report(as_json=json), target)
    holder = lock.holder_of(context.layout.lock)
    if dry_run:
        _plan(context, f"free the lock held by {holder}" if holder else "nothing: the target is not locked")
        return
    if holder and force:
        confirm(f"Take the lock from {holder}?", yes=yes)
    if holder:
        lock.free(context.layout.lock, force=force)
    context.report.say(f"freed: {holder}" if holder else f"target {context.name} is not locked")
    context.report.result(target=context.name, freed=str(holder) if holder else None)


def _started(context: Context, control: Control, *, damaged: bool) -> Status:
    last = control.status().last
    if last is None:
        never = f"no release has passed a deploy on target {context.name} yet, so there is none to start"
        raise _nothing_to_start(context, never, damaged=damaged)
    with _told_if_it_fails(context, last.version, "nothing is in service, as before"):
        return control.start()


def _nothing_to_start(context: Context, otherwise: str, *, damaged: bool) -> Refused:
    """Why there is no last release: because there was none (*otherwise*), or because what knew of it is lost."""
    layout = context.layout
    served = [name for name in history.service_order(history.read(layout.history)) if (layout.releases / name).exists()]
    kept = [built.version for built in releases.all_built(layout.releases)]
    if not served and not (kept and damaged):
        return Refused(otherwise, remedy=_deploy(context))
    last = releases.read(layout.releases / served[-1]) if served else None
    which = f"opskit deploy {last.version if last else 'REF'} --target {context.name}"
    return Refused(
        f"what ran last on target {context.name} cannot be told: {layout.state_dir / state.FILE} and the one before it "
        f"are gone or damaged; kept are the releases {', '.join(kept) or 'none'}",
        remedy=f"{which} puts one into service",
    )


@contextmanager
def _told_if_it_fails(context: Context, what: str, stands: str) -> Iterator[None]:
    """A release that does not come up is named, with its last words and how production stands."""
    try:
        yield
    except LaunchFailed as failed:
        said = f'; its log ends with "{failed.log_tail[-1]}"' if failed.log_tail else ""
        raise PutBack(
            f"{what} did not start on target {context.name}: {failed.reason}{said}; {stands}",
            remedy=f"see opskit logs --target {context.name}; then {_deploy(context)} puts another into service",
        ) from failed


def _deploy(context: Context) -> str:
    return f"opskit deploy --target {context.name}"


def _plan(context: Context, does: str) -> None:
    context.report.say(f"would do: {does}")
    context.report.result(target=context.name, plan=[does])


def _tell(context: Context, status: Status, verb: str) -> None:
    running = status.running
    version = running.release.version if running else ""
    context.report.say(f"{version} {verb} {status.public_url}")
    context.report.result(
        target=context.name,
        release=version,
        commit=running.release.commit if running else None,
        pid=running.pid if running else None,
        url=status.public_url,
    )
