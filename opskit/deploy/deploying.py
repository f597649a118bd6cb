"""`deploy`: a commit into service on a target, watched; and `--resume` and `--abort` of one that was cut off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from opskit import ledger
from opskit.deploy import lock, migrating, plan, preflight, records, releases, source, steps
from opskit.deploy.context import Context, now
from opskit.deploy.control import Child, Control, Status
from opskit.deploy.operation import HalfDone, Intent, Operation, half_done
from opskit.deploy.plan import Facts, Planned, Step
from opskit.deploy.run import Act, Detached, Run, carry_out, finish, put_back, told
from opskit.deploy.source import Source
from opskit.errors import Bad, PutBack, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the caller asks for. *ref* "" is the newest release on main; *agreed* is the commit it was when asked."""

    ref: str = ""
    agreed: str = ""
    wait: bool = True
    break_glass: str = ""


def planned(context: Context, wish: Wish) -> list[Planned]:
    """The steps that `deploy` would take now; changes nothing. Raises `Refused` as `deploy` would."""
    wanted = source.resolve(context.git, context.config, wish.ref)
    refuse_if_busy(context)
    preflight.check(context, wanted, break_glass=wish.break_glass, fetch=False)
    facts = _facts(context, wanted, wish)
    return [*plan.deploy(context.target, facts), *plan.afterwards(context.target, facts)]


def deploy(context: Context, wish: Wish) -> Run:
    """Put the commit into service. Raises `Refused` with nothing changed, `PutBack` when it failed."""
    wanted = source.resolve(context.git, context.config, wish.ref)
    if wish.agreed and wanted.commit != wish.agreed:
        raise Refused(
            f"{wanted.ref} was {wish.agreed[:12]} when you were asked and is {wanted.commit[:12]} now",
            remedy="run it again",
        )
    context.layout.make()
    facts = _facts(context, wanted, wish)
    with lock.held(context.layout.lock, target=context.name, operation=f"deploy of {wanted.version}"):
        refuse_if_half_done(context)
        records.catch_up(context)
        with told(context, Step.PREFLIGHT.value) as shown:
            passed = preflight.check(context, wanted, break_glass=wish.break_glass)
            shown.detail = f"{wanted.version} ({wanted.commit[:12]})"
            if passed:
                shown.status, shown.detail = "warning", f"{'; '.join(passed)}; passed by --break-glass"
        for warning in preflight.warnings(context):
            context.report.warn(warning)
        before = _public(context)
        intent = Intent(
            ledger.ulid(),
            "deploy",
            context.name,
            wish.ref,
            wanted.version,
            wanted.commit,
            wanted.release,
            before.release.dir.rpartition("/")[2] if before else "",
            now(),
            break_glass=wish.break_glass,
        )
        Operation(context.layout.operation).begin(intent)
        records.intend(context, intent)
        run = Run(context, intent, Control(context.layout.state_dir), before)
        todo = [step for step in plan.deploy(context.target, facts) if step.step != Step.PREFLIGHT]
        carry_out(run, todo, _acts(context, wanted))
    return _follow(run, plan.afterwards(context.target, facts))


def planned_resume(context: Context) -> list[Planned]:
    """The steps that `resume` would take now; changes nothing."""
    run, todo = _left(context)
    return [*todo, *_after(run)]


def planned_abort(context: Context) -> list[Planned]:
    """What `abort` would do now; changes nothing."""
    run = _reopened(context, _half_done(context))
    before = run.before.release.version if run.before else "nothing"
    if not run.cut_over:
        return [Planned(Step.PUT_BACK, f"{run.intent.version} is ended; {before} is in service all the time")]
    return [Planned(Step.PUT_BACK, f"{context.target.bind} from {run.intent.version} to {before}")]


def resume(context: Context) -> Run:
    """Go on with the deploy or rollback that was cut off, from what is really done."""
    context.layout.make()
    with lock.held(context.layout.lock, target=context.name, operation="resume"):
        run, todo = _left(context)
        wanted = source.resolve(context.git, context.config, run.intent.commit)
        wanted = replace(wanted, version=run.intent.version, ref=run.intent.ref)
        carry_out(run, todo, _acts(context, wanted))
    return _follow(run, _after(run))


def _left(context: Context) -> tuple[Run, list[Planned]]:
    """The cut-off operation, and those of its steps that are still to be done."""
    half = _half_done(context)
    run, facts = _reopened(context, half), _facts_of(half.intent, context)
    if half.intent.kind == "deploy":
        todo = [step for step in plan.deploy(context.target, facts) if step.step != Step.PREFLIGHT]
    else:
        todo = plan.rollback_to_retained(context.target, facts)
    skip = set(half.done) & {Step.PRE_DEPLOY, Step.BACKUP, Step.REHEARSE, Step.MIGRATE}
    if run.cut_over:
        skip |= {Step.START, Step.HEALTH, Step.SMOKE, Step.CUT_OVER}
    return run, [step for step in todo if step.step not in skip]


def _after(run: Run) -> list[Planned]:
    facts = _facts_of(run.intent, run.context)
    return plan.afterwards(run.context.target, facts) if run.intent.kind == "deploy" else []


def _facts_of(intent: Intent, context: Context) -> Facts:
    built = releases.read(context.layout.releases / intent.release)
    return Facts(release=intent.release, running=intent.was_running, is_built=built is not None)


def abort(context: Context) -> Run:
    """Take back the deploy or rollback that was cut off: production as it was before it."""
    context.layout.make()
    with lock.held(context.layout.lock, target=context.name, operation="abort"):
        half = _half_done(context)
        run = _reopened(context, half)
        run.migrated = Step.MIGRATE in half.done
        put_back(run)
        if not run.cut_over and run.built is None:
            releases.discard(context.layout.releases / half.intent.release)
        finish(run, "failed", reason="aborted")
    return run


def refuse_if_busy(context: Context) -> None:
    """For before the lock is taken: raise `Locked` while another operation runs, `Refused` if one was cut off."""
    lock.refuse_if_held(context.layout.lock, target=context.name)
    refuse_if_half_done(context)


def refuse_if_half_done(context: Context) -> None:
    """Raise `Refused` if an operation on this target was cut off and waits for a decision."""
    half = half_done(context.layout.operation)
    if half is not None:
        raise Refused(
            f"target {context.name} has a half-done {half}",
            remedy=f"finish it: opskit deploy --resume --target {context.name}; "
            f"or take it back: opskit deploy --abort --target {context.name}",
        )


def _follow(run: Run, rest: Sequence[Planned]) -> Run:
    """What comes after the lock is free: the bake, told as it goes, and the hook."""
    acts = _after_acts(run.context)
    try:
        for step in rest:
            if run.result == "done":
                with told(run.context, step.step.value) as shown:
                    acts[step.step](run, shown)
    except KeyboardInterrupt:
        raise Detached(run) from None
    if run.result == "rolled_back":
        records.catch_up(run.context)
        before = run.before.release.version if run.before else "nothing"
        raise PutBack(
            f"{run.intent.version} failed while it baked ({run.verdict}); {before} is in service again",
            remedy=f"see opskit logs --target {run.context.name}; mend it and deploy again",
            fields={**run.fields, "result": "rolled_back"},
        )
    if run.result == "failed":
        raise Bad(
            f"{run.intent.version} fails its bake ({run.verdict}), and there is no release to go back to; it serves on",
            remedy=f"see opskit logs --target {run.context.name}; mend it and deploy again",
            fields={**run.fields, "result": "failed"},
        )
    return run


def _facts(context: Context, wanted: Source, wish: Wish) -> Facts:
    public = _public(context)
    built = releases.read(context.layout.releases / wanted.release)
    return Facts(
        release=wanted.release,
        running=public.release.dir.rpartition("/")[2] if public else "",
        is_built=built is not None,
        wait=wish.wait,
        pre_hook=context.config.hooks.pre_deploy,
        post_hook=context.config.hooks.post_deploy,
    )


def _public(context: Context) -> Child | None:
    control = Control(context.layout.state_dir)
    return control.status().running if control.alive() else None


def _half_done(context: Context) -> HalfDone:
    half = half_done(context.layout.operation)
    if half is None:
        raise Refused(
            f"nothing is half-done on target {context.name}", remedy=f"see opskit status --target {context.name}"
        )
    return half


def _reopened(context: Context, half: HalfDone) -> Run:
    """The state of a cut-off operation, as the world says it is."""
    control = Control(context.layout.state_dir)
    status = control.status() if control.alive() else None
    directory = context.layout.releases / half.intent.release
    built = releases.read(directory)
    run = Run(context, half.intent, control, None, built)
    if status is None:
        return run
    run.cut_over = _is_cut_over(half, status, str(directory))
    run.before = status.parked if run.cut_over else status.running
    run.child = status.running if run.cut_over else status.candidate
    return run


def _is_cut_over(half: HalfDone, status: Status, directory: str) -> bool:
    """Asked of the supervisor where the journal does not know: the step may have been done or not."""
    told_so = {Step.CUT_OVER, Step.RETURN} & set(half.done)
    unknown = half.unknown in {Step.CUT_OVER, Step.RETURN}
    running = status.running is not None and status.running.release.dir == directory
    return running and (bool(told_so) or (unknown and status.candidate is None))


def _acts(context: Context, wanted: Source) -> Mapping[Step, Act]:
    return {
        **steps.FIXED,
        Step.PRE_DEPLOY: steps.hook(context.config.hooks.pre_deploy, name="pre_deploy", needed=True),
        Step.EXPORT: steps.export(wanted),
        Step.BUILD: steps.build(wanted),
        Step.BACKUP: migrating.backup,
        Step.REHEARSE: migrating.rehearse,
        Step.MIGRATE: migrating.migrate,
    }


def _after_acts(context: Context) -> Mapping[Step, Act]:
    hook = steps.hook(context.config.hooks.post_deploy, name="post_deploy", needed=False)
    return {Step.BAKE: steps.follow_bake, Step.POST_DEPLOY: hook}
