"""One operation under way: its steps carried out in order, journaled and told; and how it is put back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from opskit import alerts
from opskit.config import COMMANDS
from opskit.deploy import history, records
from opskit.deploy.building import BuildFailed
from opskit.deploy.checks import Verdict
from opskit.deploy.context import Context
from opskit.deploy.control import Child, Control, LaunchFailed, Status
from opskit.deploy.operation import Intent, Operation
from opskit.deploy.plan import Planned, Step
from opskit.deploy.releases import Built
from opskit.deploy.schema import Schema
from opskit.deploy.service import check_health, whose_fault
from opskit.errors import Exit, OpskitError, PutBack, Refused
from opskit.report import Step as Shown


class CheckFailed(OpskitError):
    """A release did not pass a check; what was seen is in the verdict."""

    def __init__(self, verdict: Verdict, *, fault: str = "") -> None:
        super().__init__(f"{verdict.check}: {verdict.saw}" + (f" ({fault})" if fault else ""))
        self.verdict = verdict


@dataclass(slots=True)
class Run:
    """The state of an operation while it runs. `before` is what was in public service when it began."""

    context: Context
    intent: Intent
    control: Control
    before: Child | None
    built: Built | None = None
    child: Child | None = None
    cut_over: bool = False
    migrated: bool = False
    recorded: bool = False  # it is in service, and history says so
    schema: Schema | None = None  # what the release said of the database, once asked
    result: str = "done"
    bake: str = ""  # the id of the bake that it began
    verdict: str = ""  # what that saw, if it ended badly

    @property
    def release(self) -> Built:
        """The release this operation is about; only after its build step."""
        if self.built is None:
            raise RuntimeError("no step has built or found the release yet")
        return self.built

    @property
    def fields(self) -> dict[str, object]:
        """What every JSON answer of this operation carries."""
        previous = self.before.release.version if self.before else None
        return {"target": self.context.name, "release": self.intent.version, "previous": previous}


class Detached(KeyboardInterrupt):
    """Ctrl-C once the release is in service and recorded: it stays, and the supervisor goes on alone."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


Act = Callable[[Run, Shown], None]


@contextmanager
def told(context: Context, name: str) -> Iterator[Shown]:
    """Carry out the block as a step that is told to people and, as a JSON line, to scripts."""
    shown: Shown | None = None
    try:
        with context.report.step(name) as shown:
            yield shown
    finally:
        if shown is not None:
            context.report.line(**shown.as_line())


def carry_out(run: Run, steps: Sequence[Planned], acts: Mapping[Step, Act]) -> None:
    """Carry out the steps in order; on a failure or an interrupt put production back as it was.

    Raises `PutBack`; where nothing was in service before, `Refused`.
    """
    journal, step = Operation(run.context.layout.operation), Step.PREFLIGHT
    try:
        for planned in steps:
            step = planned.step
            journal.started(planned.step.value)
            with told(run.context, planned.step.value) as shown:
                acts[planned.step](run, shown)
            journal.finished(planned.step.value)
    except (OpskitError, OSError) as fault:
        put_back(run)
        finish(run, "failed", reason=_sentence(fault, step))
        _alert(run, fault, step)
        raise _failure(run, fault, step) from fault
    except KeyboardInterrupt:
        if run.recorded:
            journal.end()
            raise Detached(run) from None
        put_back(run)
        finish(run, "failed", reason="interrupted")
        told_so = {**run.fields, "result": "failed", "error": "interrupted", "exit_code": int(Exit.INTERRUPTED)}
        run.context.report.result(**told_so)
        raise
    journal.end()


def put_back(run: Run) -> None:
    """Give production back to what ran before: end the candidate, or return from it; then look whether that serves."""
    if not run.control.alive():
        return
    status = run.control.status()
    with told(run.context, Step.PUT_BACK.value) as shown:
        if not run.cut_over:
            run.control.discard()
            shown.detail = f"{run.before.release.version} was in service all the time" if run.before else "ended"
        elif run.before is not None and status.parked is not None:
            status = run.control.return_to_parked(why=f"the {run.intent.kind} of {run.intent.version} failed")
            shown.detail = f"{run.before.release.version} is in service again"
        if run.before is None:
            run.control.stop(take_back=run.cut_over)
            shown.detail = "nothing was in service before, so nothing is now"
            return
        shown.detail += _serving(run, status)


def finish(run: Run, result: str, *, reason: str = "") -> None:
    """Write the outcome into history and ledger and close the journal."""
    run.result, run.recorded = result, result == "done"
    previous = run.before.release.version if run.before else ""
    records.conclude(run.context, run.intent, result, previous=previous, reason=reason)
    Operation(run.context.layout.operation).end()


def require(run: Run, verdict: Verdict, shown: Shown) -> None:
    """Show what a check saw; raises `CheckFailed`, telling whose fault it is, if it did not pass."""
    shown.detail = verdict.saw
    if not verdict.ok:
        raise CheckFailed(verdict, fault=whose_fault(run.context, run.release, run.before, verdict=verdict))
    if verdict.skipped:
        shown.status = "skipped"
    elif verdict.tries > 1:
        shown.status = "warning"
        shown.detail += f", at the {('second', 'third')[verdict.tries - 2]} try"


def _serving(run: Run, status: Status) -> str:
    verdict = check_health(run.context, status.public_url, given_up=lambda: "")
    return "" if verdict.ok else f", but its health is bad: {verdict.saw}"


def _failure(run: Run, fault: BaseException, step: Step) -> OpskitError:
    kind = run.intent.kind
    check = _check_of(fault, step)
    fields = {**run.fields, "result": "failed", "check": check}
    log = str(run.context.log(check)) if check in COMMANDS else f"opskit logs --target {run.context.name}"
    what = f"the {kind} of {run.intent.version} failed at {_sentence(fault, step)}"
    kept = "; the migrated schema stays, which earlier releases can serve" if run.migrated else ""
    if run.before is not None:
        what += f"; {run.before.release.version} is in service as before{kept}"
        return PutBack(what, remedy=f"see {log}; mend it and deploy again", fields=fields)
    if history.service_order(history.read(run.context.layout.history)):
        return PutBack(
            f"{what}; the target was stopped before, so nothing is in service{kept}",
            remedy="mend it and deploy again; opskit start puts the release before into service",
            fields=fields,
        )
    return Refused(
        f"{what}; there is no earlier release to go back to, so nothing is in service{kept}",
        remedy=f"see {run.context.layout.logs}; mend it and deploy again",
        fields=fields,
    )


def _alert(run: Run, fault: BaseException, step: Step) -> None:
    """Tell whom the configuration names if users met the release; a failure on the private socket is for the caller."""
    if not run.cut_over or run.before is None:
        return
    event = {"event": "deploy.put_back", "target": run.context.name, "version": run.intent.version}
    event |= {
        "check": _check_of(fault, step),
        "saw": fault.verdict.saw if isinstance(fault, CheckFailed) else str(fault),
    }
    restored = {"version": run.before.release.version}
    for sentence in alerts.send(alerts.stored(run.context.layout.state_dir), {**event, "restored": restored}):
        run.context.report.warn(sentence)


def _check_of(fault: BaseException, step: Step) -> str:
    if isinstance(fault, CheckFailed):
        return fault.verdict.check
    return "start" if isinstance(fault, LaunchFailed) else "build" if isinstance(fault, BuildFailed) else step.value


def _sentence(fault: BaseException, step: Step) -> str:
    if isinstance(fault, CheckFailed | BuildFailed):
        return str(fault)
    if isinstance(fault, LaunchFailed):
        last = f'; its log ends with "{fault.log_tail[-1]}"' if fault.log_tail else ""
        return f"start: {fault.reason}{last}"
    if isinstance(fault, OSError) and fault.strerror:
        return f"{step.value}: {fault.strerror}" + (f" ({fault.filename})" if fault.filename else "")
    return f"{step.value}: {fault}"
