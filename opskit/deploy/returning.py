"""`rollback`: back to the release that is parked, at once, or to one that is retained."""

from opskit import ledger
from opskit.deploy import history, lock, migrating, plan, records, releases, steps
from opskit.deploy.context import Context, now
from opskit.deploy.control import Child, ChildState, Control, Status
from opskit.deploy.deploying import refuse_if_busy, refuse_if_half_done
from opskit.deploy.operation import Intent, Operation
from opskit.deploy.plan import Facts, Planned
from opskit.deploy.releases import Built
from opskit.deploy.run import Run, carry_out
from opskit.errors import Refused


def planned(context: Context, to: str) -> list[Planned]:
    """The steps that `rollback` would take now; changes nothing. Raises `Refused` as `rollback` would."""
    refuse_if_busy(context)
    control, running = in_service(context)
    status = control.status()
    return _plan(context, status, running, _choose(context, status, running, to))


def choice(context: Context, to: str) -> tuple[str, str]:
    """The release directories that `rollback` would leave and go back to now; raises `Refused` as it would."""
    control, running = in_service(context)
    return name_of(running), _choose(context, control.status(), running, to).name


def rollback(context: Context, *, to: str, reason: str, agreed: tuple[str, str] | None = None) -> Run:
    """Go back to release *to* (a version, directory or commit; "" chooses). The one that is left is kept.

    Raises `Refused` with nothing changed, also where the `choice` is not the *agreed* one any more; `PutBack` when
    the older release does not serve.
    """
    context.layout.make()
    with lock.held(context.layout.lock, target=context.name, operation="rollback"):
        refuse_if_half_done(context)
        records.catch_up(context)
        control, running = in_service(context)
        status = control.status()
        built = _choose(context, status, running, to)
        if agreed and agreed != (name_of(running), built.name):
            raise Refused(
                f"target {context.name} changed while you were asked: now it would go from {name_of(running)} to "
                f"{built.name}",
                remedy="see opskit status, then run it again",
            )
        migrating.forbid_if_left_behind(context, built)
        intent = Intent(
            ledger.ulid(),
            "rollback",
            context.name,
            to,
            built.version,
            built.commit,
            built.name,
            name_of(running),
            now(),
            reason=reason,
        )
        Operation(context.layout.operation).begin(intent)
        records.intend(context, intent)
        run = Run(context, intent, control, running, built)
        carry_out(run, _plan(context, status, running, built), steps.FIXED)
    return run


def name_of(child: Child) -> str:
    """The name of a child's release directory."""
    return child.release.dir.rstrip("/").rpartition("/")[2]


def in_service(context: Context) -> tuple[Control, Child]:
    """The target's control and what runs there; raises `Refused` if nothing does."""
    control = Control(context.layout.state_dir)
    running = control.status().running if control.alive() else None
    if running is None:
        raise Refused(
            f"nothing is in service on target {context.name}",
            remedy=f"opskit start --target {context.name}, or opskit deploy --target {context.name}",
        )
    return control, running


def _choose(context: Context, status: Status, running: Child, to: str) -> Built:
    retained = [built for built in releases.all_built(context.layout.releases) if built.name != name_of(running)]
    told = history.read(context.layout.history)
    if to:
        return _named(context, retained, running, to)
    left = history.left_by_rollback(told)
    parked = name_of(status.parked) if _usable(status.parked) and status.parked else ""
    if parked == name_of(running) or parked not in {built.name for built in retained}:
        parked = ""  # an older process of the same release, deployed twice; or its directory was removed by hand
    fit = parked if parked and parked not in left else ""
    name = fit or history.rollback_choice(told, running=name_of(running), retained=[each.name for each in retained])
    for built in retained:
        if built.name == name:
            return built
    others = [built.version for built in retained if built.name in left]
    never = [built.version for built in retained if built.name not in left]
    seen = [f"a rollback has left {', '.join(others)}"] if others else []
    seen += [f"{', '.join(never)} never served"] if never else []
    kept = f"only {running.release.version} is kept"
    again = f'; or back to it all the same: opskit rollback --to {others[-1]} --reason "…"' if others else ""
    raise Refused(
        f"there is no earlier release on target {context.name} to go back to: {' and '.join(seen) or kept}",
        remedy=f"fix forward: opskit hotfix start NAME{again}",
    )


def _named(context: Context, retained: list[Built], running: Child, to: str) -> Built:
    version = to.removeprefix(context.config.tag_prefix)
    if to in (running.release.version, name_of(running)) or version == running.release.version:
        raise Refused(f"{running.release.version} is what runs", remedy="name another: opskit rollback --to V")
    for built in reversed(retained):
        if to == built.name or version == built.version or (len(to) >= 7 and built.commit.startswith(to)):
            return built
    have = ", ".join(built.version for built in retained) or "none"
    raise Refused(
        f"release {to!r} is not kept on target {context.name}; there is {have}", remedy=f"deploy it: opskit deploy {to}"
    )


def _usable(parked: Child | None) -> bool:
    return parked is not None and not parked.bad and parked.state == ChildState.PARKED and bool(parked.pid)


def _plan(context: Context, status: Status, running: Child, built: Built) -> list[Planned]:
    facts = Facts(release=built.name, running=name_of(running), is_built=True)
    if status.parked is not None and status.parked.state == ChildState.PARKED and name_of(status.parked) == built.name:
        return plan.rollback_to_parked(context.target, facts)
    return plan.rollback_to_retained(context.target, facts)
