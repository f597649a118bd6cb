"""The acts behind the steps of a deploy and a rollback."""

import os
import time
from collections.abc import Mapping

from opskit import alerts
from opskit.deploy import building, commands, environments, releases, service
from opskit.deploy import history as histories
from opskit.deploy.checks import Verdict
from opskit.deploy.control import Bake, BakeState, Child, NotRunning, ensure_running
from opskit.deploy.plan import Step
from opskit.deploy.run import Act, CheckFailed, Run, finish, require
from opskit.deploy.source import Source
from opskit.errors import Refused
from opskit.report import Step as Shown

HOOK_TIMEOUT_S = 600.0
BAKE_POLL_S = 0.5


def export(wanted: Source) -> Act:
    """Export the tree, unless the release is whole already."""

    def act(run: Run, shown: Shown) -> None:
        run.built = building.export(run.context, wanted)
        shown.detail = f"{wanted.release} was built before" if run.built else wanted.release
        if run.built is None and not run.context.target.build:
            run.built = building.build(run.context, wanted)

    return act


def build(wanted: Source) -> Act:
    """Build the exported tree, unless the release is whole already."""

    def act(run: Run, shown: Shown) -> None:
        if run.built is not None:
            shown.status, shown.detail = "skipped", "built before"
            return
        run.built = building.build(run.context, wanted)
        shown.detail = f"environment {run.built.environment}" if run.built.environment else ""

    return act


def hook(command: str, *, name: str, needed: bool) -> Act:
    """Run a hook in the work tree; a failing one stops the deploy if it is *needed*, else is a warning."""

    def act(run: Run, shown: Shown) -> None:
        intent = run.intent
        env = {"OPSKIT_TARGET": run.context.name, "OPSKIT_VERSION": intent.version, "OPSKIT_COMMIT": intent.commit}
        log = run.context.log(name)
        ran = commands.run(command, cwd=run.context.git.directory, env=env, log=log, timeout_s=HOOK_TIMEOUT_S)
        if ran.ok:
            return
        if needed:
            raise CheckFailed(Verdict(f"hooks.{name}", False, f"{ran.ending}{_last_words(ran)}; see {log}"))
        shown.status, shown.detail = "warning", f"{ran.ending}{_last_words(ran)}; see {log}"

    return act


def _last_words(ran: commands.Ran) -> str:
    said = ran.tail(lines=1).strip()
    return f', it says "{said}"' if said else ""


def start(run: Run, shown: Shown) -> None:
    """Start the release as the candidate, on its private socket."""
    run.control = ensure_running(run.context.name, run.context.layout.state_dir, run.context.target.bind)
    alert = alerts.store(run.context.layout.state_dir, run.context.target.alerts, environ=os.environ)
    run.child = run.control.launch(service.launch_spec(run.context, run.release, alert_command=alert))
    shown.detail = f"pid {run.child.pid} on {run.child.private_url}"


def health(run: Run, shown: Shown) -> None:
    """Health of the candidate."""
    child = _child(run)
    gone = service.died(run.control, child, public=False)
    require(run, service.check_health(run.context, child.private_url, given_up=gone), shown)


def smoke(run: Run, shown: Shown) -> None:
    """The full smoke on the private socket."""
    child = _child(run)
    gone = service.died(run.control, child, public=False)
    require(run, service.check_smoke(run.context, run.release, child.private_url, given_up=gone), shown)


def cut_over(run: Run, shown: Shown) -> None:
    """The public socket goes to the candidate; what ran before is parked."""
    status = run.control.cut_over()
    run.cut_over = True
    run.child = status.running or run.child
    parked = f"; {status.parked.release.version} is parked" if status.parked else ""
    shown.detail = f"{run.intent.version} serves {status.public_url}{parked}"


def return_to_parked(run: Run, shown: Shown) -> None:
    """The public socket goes back to the parked release; what ran before is kept, marked with the reason."""
    status = run.control.return_to_parked(why=run.intent.reason)
    run.cut_over = True
    run.child = status.running
    shown.detail = f"{run.intent.version} serves {status.public_url}"


def public_health(run: Run, shown: Shown) -> None:
    """Health on the public socket."""
    if _maintained(run, shown):
        return
    child = _child(run)
    gone = service.died(run.control, child, public=True)
    require(run, service.check_health(run.context, run.control.status().public_url, given_up=gone), shown)


def public_smoke(run: Run, shown: Shown) -> None:
    """The full smoke on the public socket, while the old release drains."""
    if _maintained(run, shown):
        return
    child = _child(run)
    gone = service.died(run.control, child, public=True)
    url = run.control.status().public_url
    require(run, service.check_smoke(run.context, run.release, url, given_up=gone), shown)


def version(run: Run, shown: Shown) -> None:
    """What answers in public must say that it is this release."""
    if _maintained(run, shown):
        return
    require(run, service.check_version(run.context, run.release, run.control.status().public_url), shown)


def _maintained(run: Run, shown: Shown) -> bool:
    """True if the public socket answers 503 because somebody said so: then there is nothing to check on it."""
    on = run.control.status().maintenance
    if on:
        shown.status, shown.detail = "skipped", f"maintenance is on; opskit maintenance off --target {run.context.name}"
    return on


def record(run: Run, shown: Shown) -> None:
    """Hand the release to the supervisor's bake, then write that it is in service; nothing is half-done any more."""
    if run.intent.kind == "deploy":
        _begin_bake(run)
    finish(run, "done")
    shown.detail = run.intent.release


def _begin_bake(run: Run) -> None:
    minutes = run.context.target.bake_minutes
    if not minutes:
        return
    values = {**run.context.values(run.release), "url": "{url}"}
    command = run.context.filled(run.context.target.smoke, key="smoke", values=values)
    run.control.bake(minutes=minutes, smoke_command=command)
    bake = run.control.status().bake
    run.bake = bake.id if bake else ""


def follow_bake(run: Run, shown: Shown) -> None:
    """Wait until the bake is over; Ctrl-C detaches. What it found becomes the operation's result."""
    try:
        while (bake := _own_bake(run)) is not None and bake.state == BakeState.BAKING:
            time.sleep(BAKE_POLL_S)
    except KeyboardInterrupt:
        shown.status, shown.detail = "warning", "detached; the supervisor goes on alone"
        raise
    if bake is None or bake.state == BakeState.SUPERSEDED:
        shown.status, shown.detail = "warning", "superseded by a newer deploy, a rollback or a stop"
        run.result = "superseded"
    elif bake.state == BakeState.PASSED:
        shown.detail = f"{bake.checks} checks"
    else:
        restored = bake.verdict is not None and bake.verdict.action == "rolled_back"
        shown.status, run.result = "failed", "rolled_back" if restored else "failed"
        run.verdict = f"{bake.verdict.check}: {bake.verdict.saw}" if bake.verdict else "no verdict"
        shown.detail = run.verdict


def _own_bake(run: Run) -> Bake | None:
    """The bake that this operation began; None once the target has another one or is stopped."""
    try:
        bake = run.control.status().bake
    except NotRunning:
        return None
    return bake if bake is not None and bake.id == run.bake else None


def retire(run: Run, shown: Shown) -> None:
    """Remove releases beyond `keep`, and environments that none of the rest needs."""
    layout = run.context.layout
    status = run.control.status()
    in_use = {
        child.release.dir.rpartition("/")[2] for child in (status.running, status.candidate, status.parked) if child
    }
    in_use.add(run.intent.release)
    every = releases.all_built(layout.releases)
    order = histories.service_order(histories.read(layout.history))
    gone = releases.to_retire(every, keep=run.context.target.keep, in_use=in_use, order=order)
    used = {built.environment for built in every if built not in gone}
    try:
        for built in gone:
            releases.discard(built.directory)
        environments.remove_unused(layout.environments, used=used)
    except OSError as fault:  # the release is in service; what is left is tried again by the next deploy
        shown.status, shown.detail = "warning", f"{fault.filename} cannot be removed: {fault.strerror}"
        return
    shown.detail = ", ".join(built.name for built in gone) or "nothing to remove"


def _child(run: Run) -> Child:
    if run.child is None:
        raise Refused("the release is not running; its start step has not been done")
    return run.child


FIXED: Mapping[Step, Act] = {
    Step.START: start,
    Step.HEALTH: health,
    Step.SMOKE: smoke,
    Step.CUT_OVER: cut_over,
    Step.PUBLIC_HEALTH: public_health,
    Step.PUBLIC_SMOKE: public_smoke,
    Step.VERSION: version,
    Step.BAKE: follow_bake,
    Step.RECORD: record,
    Step.RETIRE: retire,
    Step.RETURN: return_to_parked,
}
