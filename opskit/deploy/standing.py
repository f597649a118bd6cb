"""How a target stands: what runs, what is parked or baking, who holds the lock, what is half-done. Changes nothing."""

from typing import Any

from opskit.deploy import checks, lock
from opskit.deploy.context import Context
from opskit.deploy.control import Child, ChildState, Control, Status
from opskit.deploy.operation import HalfDone, half_done
from opskit.errors import OpskitError


def standing(context: Context) -> dict[str, Any]:
    """The facts of one target as JSON would carry them."""
    facts: dict[str, Any] = {
        "name": context.name,
        "up": False,
        "url": None,
        "release": None,
        "commit": None,
        "healthy": None,
        "parked": None,
        "candidate": None,
        "bake": None,
        "maintenance": False,
        "lock": None,
        "operation": None,
        "state_dir": str(context.layout.state_dir),
    }
    if context.target.driver != "host":
        return facts | {"fault": f"is reached by {context.target.driver}; opskit on that machine can tell"}
    try:
        facts |= _under_way(context)
        control = Control(context.layout.state_dir)
        return facts | (_running(context, control.status()) if control.alive() else {})
    except OpskitError as fault:
        return facts | {"fault": str(fault)}
    except PermissionError as fault:
        return facts | {"fault": f"{fault.strerror} ({fault.filename}); run opskit as its owner"}


def _under_way(context: Context) -> dict[str, Any]:
    holder = lock.holder_of(context.layout.lock)
    if holder is not None and not holder.gone:
        return {"lock": str(holder)}
    half = half_done(context.layout.operation)
    return {"operation": _operation(half) if half else None}


def in_words(facts: dict[str, Any]) -> list[str]:
    """The same for people, the target's line first."""
    name = facts["name"]
    if facts.get("fault"):
        lines = [f"{name}: {facts['fault']}"]
    elif not facts["up"]:
        lines = [f"{name}: nothing is in service"]
    else:
        health = "healthy" if facts["healthy"] else f"not healthy: {facts['detail']}"
        lines = [f"{name}: {facts['release']} ({facts['commit'][:12]}) on {facts['url']}, {health}"]
        if facts["state"] == "crash_loop":
            lines.append(f"  crash_loop: {facts['detail'] or 'it exits again and again'}; opskit logs, opskit rollback")
    if facts["maintenance"]:
        lines.append("  maintenance is on: every request is answered 503")
    if facts["parked"]:
        lines.append(f"  parked: {_parked(facts['parked'], running=facts['commit'])}")
    if facts["bake"]:
        lines.append(f"  bake of {facts['bake']['release']}: {facts['bake']['state']}")
    if facts["lock"]:
        lines.append(f"  locked: {facts['lock']}")
    if facts["operation"]:
        what = facts["operation"]["detail"]
        lines.append(f"  half-done: {what}; opskit deploy --resume --target {name}, or --abort")
    return lines


def _parked(child: dict[str, Any], *, running: str) -> str:
    if child["bad"]:
        return f"{child['release']}, left because of: {child['bad']}"
    if child["commit"] == running:
        return f"an older process of {child['release']}"
    if child["state"] == ChildState.EXITED:
        return f"{child['release']}, which has exited; opskit rollback starts it again"
    return f"{child['release']}, opskit rollback returns to it at once"


def _running(context: Context, status: Status) -> dict[str, Any]:
    running = status.running
    health = checks.health(status.public_url, context.target.health) if running else None
    bake = status.bake
    return {
        "up": running is not None,
        "url": status.public_url,
        "release": running.release.version if running else None,
        "commit": running.release.commit if running else None,
        "state": str(running.state) if running else None,
        "pid": running.pid if running else None,
        "since": running.started_at if running else None,
        "exits": running.exits if running else 0,
        "healthy": health.ok if health else None,
        "detail": (running.last_exit if running else "") or (health.saw if health else ""),
        "parked": _child(status.parked),
        "candidate": _child(status.candidate),
        "bake": {"release": bake.release.version, "state": str(bake.state), "remaining_s": bake.remaining_s}
        if bake
        else None,
        "maintenance": status.maintenance,
    }


def _child(child: Child | None) -> dict[str, Any] | None:
    if child is None:
        return None
    return {
        "release": child.release.version,
        "commit": child.release.commit,
        "state": str(child.state),
        "bad": child.bad,
    }


def _operation(half: HalfDone) -> dict[str, Any]:
    return {
        "kind": half.intent.kind,
        "target": half.intent.target,
        "release": half.intent.version,
        "commit": half.intent.commit,
        "step": half.unknown or (half.done[-1] if half.done else None),
        "done": list(half.done),
        "detail": str(half),
    }
