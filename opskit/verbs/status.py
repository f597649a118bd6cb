"""`opskit status`: where everything stands."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from opskit.config import Config, load
from opskit.conflicts import conflict_trees
from opskit.deploy.context import context_of
from opskit.deploy.standing import in_words, standing
from opskit.errors import Refused
from opskit.git.refs import BRANCH, read
from opskit.git.runner import Git
from opskit.incident.actions import actions
from opskit.incident.record import incidents
from opskit.incident.telling import headline
from opskit.journal import Journal
from opskit.ledger import Ledger
from opskit.release.outlook import read_outlook
from opskit.report import Report
from opskit.verbs.options import Json, Target

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def status(*, target: Target = "", json: Json = False) -> None:
    """Branches, versions, what runs on each target, what is half-done, open incidents and overdue actions.

    Example: opskit status --json
    """
    report = Report(as_json=json)
    git = Git.discover(Path.cwd())
    config = load(git.directory)
    names = [config.target(target)[0]] if target else list(config.targets)
    targets = [standing(context_of(git, config, name, report)) for name in names]
    branches = _branches(git, config)
    version = _version(git, config, report)
    operation = _release_operation(git) or next((each["operation"] for each in targets if each["operation"]), None)
    today, events = datetime.now(UTC).date(), Ledger(git).read()
    still = [one for one in incidents(events) if one.is_open]
    late = [one for one in actions(events) if one.overdue(today)]
    for branch in branches:
        report.say(f"{branch['name']} {branch['sha'][:12] if branch['sha'] else 'does not exist'}{_distance(branch)}")
    report.say(f"version {version['current'] or 'none yet'}, next {version['next'] or 'nothing to release'}")
    for facts in targets:
        for line in in_words(facts):
            report.say(line)
    if operation and operation["kind"] not in ("deploy", "rollback"):
        report.say(f"half-done: {operation['detail']}")
    for incident in still:
        report.say(f"incident {headline(incident)}")
    for action in late:
        report.say(f"overdue since {action.due}: {action.name} {action.title} ({action.owner or 'nobody owns it'})")
    report.result(
        branches=branches,
        version=version,
        targets=targets,
        operation=operation,
        incidents=[one.as_json() for one in still],
        actions=[one.as_json(today) for one in late],
    )


def _version(git: Git, config: Config, report: Report) -> dict[str, str | None]:
    """Current and next version; both None, with a warning, where the history cannot tell (shallow, no commit)."""
    try:
        outlook = read_outlook(git, config)
    except Refused as fault:
        report.warn(f"{fault}: no version can be told" + (f" ({fault.remedy})" if fault.remedy else ""))
        return {"current": None, "next": None}
    return {
        "current": str(outlook.current.version) if outlook.current else None,
        "next": str(outlook.next.version) if outlook.next.version else None,
    }


def _branches(git: Git, config: Config) -> list[dict[str, Any]]:
    refs = read(git, BRANCH, "refs/remotes/")
    found = []
    for name in filter(None, (config.main, config.develop)):
        here, there = refs.get(f"{BRANCH}{name}"), refs.get(f"refs/remotes/{config.remote}/{name}")
        ahead = behind = None
        if here and there:
            counts = git.text("rev-list", "--left-right", "--count", f"{here.commit}...{there.commit}").split()
            ahead, behind = int(counts[0]), int(counts[1])
        found.append({"name": name, "sha": here.commit if here else None, "ahead": ahead, "behind": behind})
    return found


def _distance(branch: dict[str, Any]) -> str:
    parts = [f"{branch[way]} {way}" for way in ("ahead", "behind") if branch[way]]
    return f", {' and '.join(parts)} of the remote" if parts else ""


def _release_operation(git: Git) -> dict[str, Any] | None:
    """A release or hotfix that is half-done in this repository."""
    operation = Journal(git.common_dir / "opskit").read()
    if operation is None:
        return None
    last = operation.records[-1]
    verb = str((operation.fact("call") or {}).get("verb", "release"))
    waiting = [str(place) for place in conflict_trees(operation) if place.exists()]
    step = f"cut off after {last.step!r}" if last.phase == "outcome" else f"cut off in the step {last.step!r}"
    if waiting and operation.fact("plan") is None:
        step = f"a conflict waits to be settled in {waiting[-1]}"
    return {"kind": verb, "step": last.step, "detail": f"{verb}: {step}; opskit {verb} --continue, or --abort"}
