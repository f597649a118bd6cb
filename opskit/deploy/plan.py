"""The plan of a deploy or rollback: its steps in order, as the checklist a person would follow. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from opskit.config import Target


class Step(StrEnum):
    """A step; its value is its name in output and journal."""

    PREFLIGHT = "preflight"
    PRE_DEPLOY = "pre_deploy hook"
    EXPORT = "export"
    BUILD = "build"
    BACKUP = "backup"
    REHEARSE = "rehearse migration"
    MIGRATE = "migrate"
    START = "start"
    HEALTH = "health"
    SMOKE = "smoke"
    CUT_OVER = "cut over"
    PUBLIC_HEALTH = "health in public"
    PUBLIC_SMOKE = "smoke in public"
    VERSION = "version"
    RECORD = "record"
    BAKE = "bake"
    RETIRE = "retire"
    POST_DEPLOY = "post_deploy hook"
    RETURN = "return to parked"
    PUT_BACK = "put back"


@dataclass(frozen=True, slots=True)
class Planned:
    """A step and what it is going to do."""

    step: Step
    does: str


RECORD = Planned(Step.RECORD, "history and ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the plan depends on. Releases by directory name; `running` is "" if nothing runs."""

    release: str
    running: str
    is_built: bool
    wait: bool = True
    pre_hook: str = ""
    post_hook: str = ""


def deploy(target: Target, facts: Facts) -> list[Planned]:
    """The steps that put `facts.release` into service."""
    release = facts.release
    steps = [Planned(Step.PREFLIGHT, "requirements, freeze windows, disk and lock")]
    if facts.pre_hook:
        steps.append(Planned(Step.PRE_DEPLOY, facts.pre_hook))
    steps.append(Planned(Step.EXPORT, "built before, kept" if facts.is_built else f"the commit's tree into {release}"))
    if target.build:
        steps.append(Planned(Step.BUILD, "built before, kept" if facts.is_built else target.build))
    if target.migrate:
        steps += _migration(target)
    steps += _into_service(target, release, facts.running)
    if facts.wait:
        steps += _watched(target, facts.running)
    return [*steps, RECORD, Planned(Step.RETIRE, f"releases beyond the last {target.keep}")]


def afterwards(target: Target, facts: Facts) -> list[Planned]:
    """What follows once the release is in service; nothing here puts it back, and no lock is held."""
    steps = []
    if target.bake_minutes and facts.wait:
        steps.append(Planned(Step.BAKE, f"{target.bake_minutes:g} minutes: health, crash rate, smoke"))
    if facts.post_hook:
        steps.append(Planned(Step.POST_DEPLOY, facts.post_hook))
    return steps


def rollback_to_parked(target: Target, facts: Facts) -> list[Planned]:
    """The steps back to the release that is parked."""
    return [
        Planned(Step.RETURN, f"{facts.running} gives {target.bind} back to {facts.release}"),
        Planned(Step.PUBLIC_HEALTH, f"GET {target.health}"),
        Planned(Step.PUBLIC_SMOKE, target.smoke or f"GET {target.health}"),
        RECORD,
    ]


def rollback_to_retained(target: Target, facts: Facts) -> list[Planned]:
    """The steps back to a release that is no longer running: one health check, then at once."""
    return [
        Planned(Step.START, f"{facts.release} on its private socket"),
        Planned(Step.HEALTH, f"GET {target.health} there"),
        Planned(Step.CUT_OVER, f"{target.bind} from {facts.running or 'nothing'} to {facts.release}"),
        Planned(Step.PUBLIC_SMOKE, target.smoke or f"GET {target.health}"),
        RECORD,
    ]


def _migration(target: Target) -> list[Planned]:
    steps = []
    if target.backup:
        steps.append(Planned(Step.BACKUP, target.backup))
    if target.backup and target.restore:
        steps.append(Planned(Step.REHEARSE, "restore into scratch, migrate there, smoke of both releases there"))
    return [*steps, Planned(Step.MIGRATE, target.migrate)]


def _into_service(target: Target, release: str, running: str) -> list[Planned]:
    from_whom = f"from {running}" if running else "from nothing"
    return [
        Planned(Step.START, f"{target.start} on a private socket"),
        Planned(Step.HEALTH, f"GET {target.health} there"),
        Planned(Step.SMOKE, f"{target.smoke or 'GET ' + target.health} there"),
        Planned(Step.CUT_OVER, f"{target.bind} {from_whom} to {release}"),
    ]


def _watched(target: Target, running: str) -> list[Planned]:
    meanwhile = f" while {running} drains" if running else ""
    steps = [Planned(Step.PUBLIC_SMOKE, f"{target.smoke or 'GET ' + target.health}{meanwhile}")]
    if target.version_path:
        steps.append(Planned(Step.VERSION, f"GET {target.version_path}"))
    return steps
