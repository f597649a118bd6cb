"""The only code that carries out a release plan: gate, publish, move, verify, record; each step journalled.

A step that has an intent and no outcome is unknown: the publishing step asks the remote what it has, every other step
can be done again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from opskit import ci
from opskit.checkouts import check_trees, move_trees, restore_trees
from opskit.config import Config
from opskit.desk import Desk
from opskit.errors import Bad, HalfWay, OpskitError, Refused
from opskit.git import refs
from opskit.git.refs import TAG, Update
from opskit.git.remote import PushUnknown, Remote
from opskit.hooks import run_hook
from opskit.release.plan import Kind, Plan
from opskit.report import Step

UNDO = "opskit undo takes it back"
_ACTION_DAYS = 7


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of every plan: its name in the journal, what people read, and what it does."""

    name: str
    title: str
    do: Callable[[Desk, Plan, Step], None]


def carry_out(desk: Desk, plan: Plan) -> None:
    """Carry out *plan*, or what is left of it after a crash.

    Until the remote accepts, a failure or an interrupt ends the operation with everything as it was: raises `Bad` for
    red CI, `Refused` for anything in the way. `HalfWay` if the remote's answer was lost, or it is published and the
    rest is in the way of something.
    """
    operation = desk.operation()
    out = False  # once it is, nothing can be refused any more
    for stage in stages(desk.config, plan):
        if operation.done(stage.name):
            out = out or stage.name == "publish"
            continue
        try:
            desk.journal.intent(stage.name)
            with desk.report.step(stage.title) as shown:
                stage.do(desk, plan, shown)
            out = out or stage.name == "publish"
            desk.journal.outcome(stage.name)
        except HalfWay:
            raise
        except (OpskitError, OSError) as fault:
            if out:
                raise _incomplete(desk, plan, fault) from fault
            if isinstance(fault, OSError) and desk.operation().facts("pushing"):
                raise HalfWay(
                    f"whether {plan.title} was published cannot be known: {fault}", remedy=f"mend that; {_on(desk)}"
                ) from fault
            desk.journal.end()
            raise
        except KeyboardInterrupt:  # while publishing it is unknown what came of it: the journal stays
            if stage.name in _BEFORE_PUBLISHED[:-1]:
                desk.journal.end()
            raise
    desk.journal.end()


def _incomplete(desk: Desk, plan: Plan, fault: Exception) -> HalfWay:
    """What is out cannot be refused any more: the rest waits for a person to mend *fault*."""
    remedy = fault.remedy if isinstance(fault, OpskitError) else ""
    return HalfWay(
        f"{plan.title} is {'published' if plan.remote else 'made'}, but not complete here: {fault}",
        remedy=f"{remedy or 'mend that'}; {_on(desk)}",
    )


def _on(desk: Desk) -> str:
    verb = (desk.operation().fact("call") or {}).get("verb", "release")
    return f"it goes on with: opskit {verb} --continue"


def abort(desk: Desk, plan: Plan) -> None:
    """Put everything back as it was before *plan*; raises `Refused`, after finishing it, if it is published already."""
    if is_published(desk, plan):
        for name in ("publish", *_BEFORE_PUBLISHED[:-1]):
            if not desk.operation().done(name):
                desk.journal.outcome(name)
        carry_out(desk, plan)
        raise Refused(f"{plan.title} is published already, and now complete here too", remedy=UNDO)
    refs.unlock(desk.git, [one.ref for one in plan.local])
    refs.update(desk.git, moved_here(desk, plan), why=f"opskit {plan.title} aborted")
    restore_trees(desk.git, desk.operation())
    desk.journal.end()


def moved_here(desk: Desk, plan: Plan) -> list[Update]:
    """The way back of the references that *plan* has moved here so far."""
    now = refs.read(desk.git)
    return [Update(one.ref, one.new, one.old) for one in plan.local if _at(now, one.ref) == one.new]


def is_published(desk: Desk, plan: Plan) -> bool:
    """True once the plan cannot be taken back by `--abort`: the remote has it, or (without a remote) this repository.

    Raises `HalfWay` if the remote must be asked and cannot be.
    """
    operation = desk.operation()
    if operation.done("publish"):
        return True
    if not operation.begun("publish"):
        return False
    if not plan.remote:
        now = refs.read(desk.git)
        return all(_at(now, one.ref) == one.new for one in plan.local)
    return _remote_has(desk, plan)


def _remote_has(desk: Desk, plan: Plan) -> bool:
    """Whether the remote took the push whose answer is unknown: the push was atomic, so one telling reference will do.

    A tag's id is this plan's own. Without a tag all references must be at their new values.
    """
    try:
        there = Remote(desk.git, desk.remote).refs()
    except Refused as fault:
        raise HalfWay(
            f"whether {plan.title} was published cannot be known: {fault}",
            remedy="when the remote is back: opskit release --continue, or --abort",
        ) from fault
    telling = [one for one in plan.remote if one.ref.startswith(TAG) and one.new] or plan.remote
    return all(there.get(one.ref, "") == one.new for one in telling)


def _before(desk: Desk, plan: Plan, shown: Step) -> None:
    run_hook(desk.git, desk.config.hooks.pre_release, plan, shown)


def _gate(desk: Desk, plan: Plan, shown: Step) -> None:
    verdict = ci.run(desk.git, desk.config, plan.gate, desk.report)
    if plan.facts.get("override") and not verdict.green:  # a person's decision, on record
        shown.status, shown.detail = "warning", "red, overridden"
        return
    verdict.or_raise()
    shown.detail = f"{verdict.verdict} on {plan.gate[:12]}" + (", known before" if verdict.cached else "")


def _review(desk: Desk, plan: Plan, shown: Step) -> None:
    from opskit.hotfix import review  # here: only a hotfix needs it, with all that runs its tests

    review.require(desk, plan, shown)


def _check(desk: Desk, plan: Plan, shown: Step) -> None:
    """The last look before anything changes: are the references and the files here still as planned for?"""
    now = refs.read(desk.git)
    moved = [one.ref for one in plan.local if _at(now, one.ref) not in (one.old, one.new)]
    if moved:
        raise Refused(f"{', '.join(moved)} moved here while this was under way", remedy="run it again")
    ready = [one for one in plan.local if _at(now, one.ref) == one.old]
    if desk.operation().attempts("check") > 1 or desk.operation().attempts("publish") > 1:
        refs.unlock(desk.git, [one.ref for one in ready])
    refs.rehearse(desk.git, ready)
    trees = check_trees(desk.git, plan)
    desk.journal.fact("trees", trees=trees)
    shown.detail = f"{len(plan.local)} references, {len(trees)} work trees to bring along"


def _publish(desk: Desk, plan: Plan, shown: Step) -> None:
    took_time = desk.config.hooks.pre_release or desk.config.ci.steps or plan.kind is Kind.HOTFIX
    if took_time and not desk.operation().facts("pushing"):
        _check(desk, plan, shown)  # again: much may have happened meanwhile
    if not plan.remote:
        shown.detail = "no remote: here only"
        _move_refs(desk, plan, shown)
        return
    shown.detail = desk.remote
    if desk.operation().facts("pushing") and _remote_has(desk, plan):
        return
    remote = Remote(desk.git, desk.remote)
    _require_leases(remote, plan)
    desk.journal.fact("pushing")
    try:
        remote.push(plan.remote, hold=(desk.journal.lock_fd,))
    except PushUnknown as fault:
        if not _remote_has(desk, plan):
            raise Refused(str(fault), remedy="nothing was published; run it again") from fault


def _require_leases(remote: Remote, plan: Plan) -> None:
    """A reference that somebody put where we want it would pass the push unnoticed: look before."""
    there = remote.refs()
    moved = [one.ref for one in plan.remote if there.get(one.ref, "") != one.old]
    if moved:
        raise Refused(
            f"somebody moved {', '.join(moved)} on {remote.name}", remedy="nothing was published; run it again"
        )


def _move_refs(desk: Desk, plan: Plan, shown: Step) -> None:
    if desk.operation().attempts("refs") > 1 or desk.operation().attempts("publish") > 1:
        refs.unlock(desk.git, [one.ref for one in plan.local])
    now = refs.read(desk.git)
    ready = [one for one in plan.local if _at(now, one.ref) == one.old]
    elsewhere = [one.ref for one in plan.local if _at(now, one.ref) not in (one.old, one.new)]
    if elsewhere and not plan.remote:
        raise Refused(f"{', '.join(elsewhere)} moved here while this was under way", remedy="run it again")
    refs.update(desk.git, ready, why=f"opskit {plan.title}")
    if elsewhere:
        shown.status = "warning"
        shown.detail = f"{', '.join(elsewhere)} moved here meanwhile and stays; git pull brings it together"


def _move_files(desk: Desk, plan: Plan, shown: Step) -> None:
    shown.detail = move_trees(desk.git, desk.operation(), why=f"opskit {plan.title}")


def _verify(desk: Desk, plan: Plan, shown: Step) -> None:
    try:
        there = Remote(desk.git, desk.remote).refs()
    except Refused as fault:
        shown.status, shown.detail = "warning", str(fault)
        return
    differ = [one.ref for one in plan.remote if there.get(one.ref, "") != one.new]
    shown.detail = f"{desk.remote} has {len(plan.remote) - len(differ)} of {len(plan.remote)} references"
    if differ:
        shown.status, shown.detail = "warning", f"moved on since: {', '.join(differ)}"


def _record(desk: Desk, plan: Plan, shown: Step) -> None:
    """Into the ledger, once: a resumed operation looks whether it is there."""
    operation = desk.operation()
    call = operation.fact("call") or {}
    number = str(call.get("id", ""))
    again = operation.attempts("record") > 1
    if not (again and any(event.data.get("operation") == number for event in desk.ledger.read())):
        data = {
            "operation": number,
            "version": plan.version,
            "tag": plan.tag,
            "sha": plan.gate,
            "plan": {**plan.as_json(), "notes": ""},
            **plan.facts,
        }
        desk.ledger.append(str(plan.kind), data, subject=plan.title)
        if plan.facts.get("override"):
            _open_action(desk, plan)
    synced = desk.ledger.sync()
    shown.detail = synced.said


def _open_action(desk: Desk, plan: Plan) -> None:
    """An override is paid back: somebody looks at what was passed over."""
    title = f"Look after what {plan.tag} passed over: {plan.facts['override']}"
    due = datetime.now(UTC).date() + timedelta(days=_ACTION_DAYS)
    data = {"title": title, "owner": "", "due": due.isoformat(), "type": "process", "state": "open", "of": plan.tag}
    data["incident"] = str(plan.facts.get("incident") or "")
    desk.ledger.number("action", lambda name: (data, f"action {name}: {title}"), prefix="ACT")


def _after(desk: Desk, plan: Plan, shown: Step) -> None:
    try:
        run_hook(desk.git, desk.config.hooks.post_release, plan, shown)
    except Bad as fault:  # it is released; the hook's failure cannot change that
        shown.status, shown.detail = "warning", str(fault)


def _at(now: dict[str, refs.Ref], ref: str) -> str:
    return now[ref].id if ref in now else ""


def stages(config: Config, plan: Plan) -> list[Stage]:
    """The steps of *plan*, in their order; what has nothing to do is left out."""
    every = [
        (True, Stage("check", "references and work trees", _check)),
        (bool(config.hooks.pre_release), Stage("before", "pre_release hook", _before)),
        (plan.kind is Kind.HOTFIX, Stage("review", "review and check", _review)),
        (bool(plan.gate), Stage("gate", "CI", _gate)),
        (True, Stage("publish", "publish", _publish)),
        (True, Stage("refs", "move the references here", _move_refs)),
        (True, Stage("files", "bring the work trees along", _move_files)),
        (bool(plan.remote), Stage("verify", "read the remote back", _verify)),
        (True, Stage("record", "ledger", _record)),
        (bool(config.hooks.post_release), Stage("after", "post_release hook", _after)),
    ]
    return [stage for wanted, stage in every if wanted]


_BEFORE_PUBLISHED = ("check", "before", "review", "gate", "publish")
