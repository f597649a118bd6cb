"""An operation from its call to its end: read the references, make the plan, carry it out; go on or give up later."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from opskit.calls import BUILDERS
from opskit.config import load
from opskit.conflicts import conflict_trees, lay_out, settled_trees
from opskit.desk import Desk
from opskit.errors import HalfWay, OpskitError, Refused, UsageFault
from opskit.execute import UNDO, abort, carry_out, is_published, moved_here
from opskit.git import objects, worktrees
from opskit.git.refs import Update
from opskit.git.runner import Git
from opskit.journal import Journal, Operation
from opskit.ledger import Ledger, ulid
from opskit.release.plan import MergeConflict, Plan
from opskit.release.plan_objects import Workshop
from opskit.release.plan_release import Planner
from opskit.release.plan_world import World, read_world, remote_of
from opskit.report import Report

_LATEST_S = 253402300799  # 9999-12-31T23:59:59Z, the last that a date can say


def open_desk(report: Report, start: Path | None = None) -> Desk:
    """The desk for the repository around *start* (default: here); raises `UsageFault`, `Refused`."""
    here = Git.discover(start or Path.cwd())
    config = load(here.directory)
    main_tree = worktrees.listed(here)[0]
    git = here if main_tree.bare else here.at(main_tree.path)
    remote = remote_of(git, config)
    journal = Journal(git.common_dir / "opskit")
    return Desk(
        git=git,
        config=config,
        config_dir=here.directory,
        remote=remote,
        journal=journal,
        ledger=Ledger(git, remote),
        report=report,
    )


def moment_s() -> int:
    """Now in seconds since 1970 UTC; SOURCE_DATE_EPOCH where that is set (reproducible-builds.org)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return int(time.time())
    if not (epoch.isascii() and epoch.isdigit() and int(epoch) <= _LATEST_S):
        raise UsageFault(f"SOURCE_DATE_EPOCH is {epoch!r}, no number of seconds up to the year 9999", remedy="unset it")
    return int(epoch)


def dry_run(desk: Desk, verb: str, *, at_s: int | None = None, **call: Any) -> Plan:
    """The plan that `run` would carry out, its objects thrown away; a conflict is `Refused` here."""
    world = read_world(desk.git, desk.remote, at_s=moment_s() if at_s is None else at_s)
    with objects.scratch_objects(desk.git) as git:
        return _planned_once(replace(desk, git=git), verb, call, world)


def planned(desk: Desk, verb: str, **call: Any) -> Plan:
    """The plan that `run` would carry out, its objects kept for a while (nothing refers to them)."""
    return _planned_once(desk, verb, call, read_world(desk.git, desk.remote, at_s=moment_s()))


def _planned_once(desk: Desk, verb: str, call: Mapping[str, Any], world: World) -> Plan:
    try:
        return _build(desk, verb, call, world, {})
    except MergeConflict as conflict:
        raise Refused(str(conflict), remedy=f"opskit {verb} stops there for you to settle it") from conflict


def run(desk: Desk, verb: str, *, at_s: int, shown: Plan | None = None, **call: Any) -> Plan:
    """Plan and carry out; returns what was done. Raises `HalfWay` at a conflict, `Refused`, `Bad`, `UsageFault`.

    `Refused` too where the plan is no longer the one that was *shown*.
    """
    with desk.journal.locked():
        refuse_if_half_done(desk)
        desk.journal.fact("call", verb=verb, id=ulid(), at_s=at_s, config_dir=str(desk.config_dir), arguments=call)
        return _advance(desk, shown)


def proceed(desk: Desk) -> Plan:
    """`--continue`: finish what is half-done; raises `Refused` if nothing is."""
    with desk.journal.locked(wait_s=60):
        return _advance(_as_called(desk))


def give_up(desk: Desk) -> str:
    """`--abort`: the references of before; returns the verb that was given up.

    Raises `Refused` if nothing is half-done, or it is published already.
    """
    with desk.journal.locked(wait_s=60):
        desk = _as_called(desk)
        operation = desk.operation()
        fact = operation.fact("plan")
        plan = Plan.from_json(fact) if fact else None
        _discard_conflicts(desk, operation)
        worktrees.sweep(desk.git)
        if plan is None:
            desk.journal.end()
        else:
            abort(desk, plan)
        return title_of(operation)


def proceeding(desk: Desk) -> Plan:
    """The plan that `proceed` would finish; changes nothing. A conflict that is not settled is `Refused` here."""
    desk = _as_called(desk)
    operation = desk.operation()
    fact, call, known = operation.fact("plan"), operation.fact("call") or {}, operation.fact("world")
    if fact:
        return Plan.from_json(fact)
    world = World.from_json(known) if known else read_world(desk.git, desk.remote, at_s=int(call["at_s"]))
    try:
        settled = settled_trees(desk, operation, look_only=True)
        with objects.scratch_objects(desk.git) as git:
            return _build(replace(desk, git=git), str(call["verb"]), call["arguments"], world, settled)
    except HalfWay as fault:
        raise Refused(str(fault), remedy=fault.remedy or "settle it, or --abort") from fault


def giving_up(desk: Desk) -> tuple[str, list[Update]]:
    """The verb that `give_up` would give up and the references it would put back; changes nothing.

    Raises `Refused` as `give_up` does.
    """
    desk = _as_called(desk)
    operation = desk.operation()
    fact = operation.fact("plan")
    plan = Plan.from_json(fact) if fact else None
    if plan and is_published(desk, plan):
        raise Refused(f"{plan.title} is published already", remedy=UNDO)
    return title_of(operation), moved_here(desk, plan) if plan else []


def refuse_if_half_done(desk: Desk) -> None:
    """Raise `Refused` if an operation is under way."""
    operation = desk.journal.read()
    if operation:
        verb = title_of(operation)
        raise Refused(f"opskit {verb} is half-done here", remedy=f"opskit {verb} --continue, or --abort")


def title_of(operation: Operation) -> str:
    """The verb of an operation under way: `release`, `hotfix finish`, `undo`."""
    return str((operation.fact("call") or {}).get("verb", "release"))


def _as_called(desk: Desk) -> Desk:
    """The desk with the configuration that the half-done operation began with."""
    operation = desk.journal.read()
    if operation is None:
        raise Refused("nothing is half-done here", remedy="see opskit status")
    place = Path((operation.fact("call") or {}).get("config_dir", ""))
    return replace(desk, config=load(place), config_dir=place) if place.is_dir() else desk


def _advance(desk: Desk, shown: Plan | None = None) -> Plan:
    operation = desk.operation()
    fact = operation.fact("plan")
    plan = Plan.from_json(fact) if fact else _planned(desk, operation)
    if shown is not None and _starts(plan) != _starts(shown):
        desk.journal.end()
        moved = sorted(ref for ref, _ in _starts(plan) ^ _starts(shown))
        raise Refused(f"{', '.join(moved)} changed while you were asked", remedy="run it again, for a new plan")
    _discard_conflicts(desk, operation)
    carry_out(desk, plan)
    return plan


def _starts(plan: Plan) -> set[tuple[str, str]]:
    """Which references a plan moves, and from where; gpg signatures give the same plan other new ids."""
    return {(one.ref, one.old) for one in (*plan.local, *plan.remote)}


def _planned(desk: Desk, operation: Operation) -> Plan:
    """Make the plan and note it. A failure ends the operation: nothing was changed yet."""
    call = operation.fact("call") or {}
    try:
        known = operation.fact("world")
        world = World.from_json(known) if known else read_world(desk.git, desk.remote, at_s=int(call["at_s"]))
        if not known:
            desk.journal.fact("world", **world.as_json())
        settled = settled_trees(desk, operation)
        plan = _build(desk, str(call["verb"]), call["arguments"], world, settled)
    except MergeConflict as conflict:
        raise lay_out(desk, conflict, verb=title_of(operation)) from conflict
    except HalfWay:
        raise
    except (OpskitError, KeyboardInterrupt):
        _discard_conflicts(desk, operation)
        desk.journal.end()
        raise
    desk.journal.fact("plan", **plan.as_json())
    return plan


def _build(desk: Desk, verb: str, call: Mapping[str, Any], world: World, settled: Mapping[str, str]) -> Plan:
    signature = objects.signing(desk.git, world.at_s)
    shop = Workshop(git=desk.git, config=desk.config, signature=signature, settled=settled)
    planner = Planner(git=desk.git, config=desk.config, world=world, workshop=shop)
    return BUILDERS[verb](desk, planner, call)


def _discard_conflicts(desk: Desk, operation: Operation) -> None:
    for place in conflict_trees(operation):
        if place.exists():
            worktrees.discard(desk.git, place)
