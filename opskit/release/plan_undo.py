"""The plan of `opskit undo`: the last release or hotfix taken back, while everything is as it left it."""

from opskit.errors import Refused
from opskit.git.refs import Update
from opskit.release.plan import Kind, Plan
from opskit.release.plan_world import World


def plan_undo(world: World, done: Plan, *, operation: str) -> Plan:
    """The plan that puts the references of *done* back; *operation* is its id in the ledger.

    Here only what is at the value that *done* gave it moves; a branch of a clone that has not pulled since stays.
    Raises `Refused` naming what has moved since.
    """
    there = world.there or {}
    moved = [one.ref for one in done.remote if there.get(one.ref, "") != one.new]
    if done.remote and world.there is None:
        raise Refused(f"{done.title} was published and there is no remote now", remedy="add the remote again")
    before = {one.ref: one.old for one in done.remote} | {one.ref: one.old for one in done.local}
    after = {one.ref: one.new for one in done.remote} | {one.ref: one.new for one in done.local}
    local = []
    for ref, old in before.items():
        here = world.here.get(ref, "")
        if here == after[ref] and here != old:
            local.append(Update(ref, here, old))
        elif here not in (old, ""):
            moved.append(ref)
    if moved:
        raise Refused(
            f"{', '.join(dict.fromkeys(moved))} moved since {done.title}",
            remedy="undo is for the moment after; fix forward with opskit hotfix start",
        )
    remote = tuple(Update(one.ref, one.new, one.old) for one in done.remote)
    facts = {"undone": operation, "undone_kind": str(done.kind)}
    return Plan(
        kind=Kind.UNDO,
        version=done.version,
        tag=done.tag,
        local=tuple(local),
        remote=remote,
        homes=done.homes,
        facts=facts,
    )
