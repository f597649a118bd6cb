"""What is written down of a deploy or rollback: the target's history, and the ledger that the team shares."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from opskit.deploy import history
from opskit.deploy.context import Context, now
from opskit.deploy.control import Control
from opskit.deploy.history import Entry
from opskit.deploy.operation import Intent
from opskit.errors import OpskitError
from opskit.incident.book import Opening, open_incident
from opskit.ledger import Ledger
from opskit.moments import read_moment

SHARE_S = 10.0  # a remote that does not answer for so long does not hold production up; the next call shares


def intend(context: Context, intent: Intent) -> None:
    """Write into the ledger what is about to happen."""
    data = {**_facts(intent), "phase": "intent"}
    _append(context, intent.kind, data, f"{intent.kind} {intent.version} to {intent.target}: begins")


def conclude(context: Context, intent: Intent, result: str, *, previous: str, reason: str) -> None:
    """Write into history and ledger what came of it."""
    entry = Entry(now(), intent.kind, intent.release, intent.was_running, result, reason or intent.reason)
    history.append(context.layout.history, entry)
    data = {**_facts(intent), "phase": "outcome", "result": result, "previous": previous, "detail": reason}
    _append(context, intent.kind, data, f"{intent.kind} {intent.version} to {intent.target}: {result}", share=True)


def catch_up(context: Context) -> None:
    """Write down what the supervisor did by itself since: a bake that failed and was rolled back."""
    control = Control(context.layout.state_dir)
    bake = control.status().bake if control.alive() else None
    verdict = bake.verdict if bake else None
    if verdict is None or verdict.action != "rolled_back":
        return
    told = history.read(context.layout.history)
    if any(entry.at == verdict.at and entry.result == "rolled_back" for entry in told):
        return
    left, back = verdict.release, verdict.restored
    names = [release.dir.rpartition("/")[2] if release else "" for release in (left, back)]
    reason = f"{verdict.check}: {verdict.saw}"
    history.append(context.layout.history, Entry(verdict.at, "deploy", names[0], names[1], "rolled_back", reason))
    data = {"phase": "outcome", "target": context.name, "version": left.version, "commit": left.commit}
    data |= {"result": "rolled_back", "previous": back.version if back else "", "detail": reason, "at": verdict.at}
    _append(context, "deploy", data, f"deploy {left.version} to {context.name}: rolled back, {reason}", share=True)
    if verdict.check == "crashes":
        _draft_incident(context, left.version, left.commit, detected_at=verdict.at, impact=reason)


def _draft_incident(context: Context, version: str, commit: str, *, detected_at: str, impact: str) -> None:
    """Open the record of what happened; a person gives it a severity."""
    title = f"{version} crashed on {context.name} and was rolled back"
    facts = {"target": context.name, "version": version, "commit": commit}
    detected = read_moment(detected_at) or datetime.now(UTC)
    book = Ledger(context.git.within(SHARE_S), context.config.remote if context.git.lines("remote") else "")
    try:
        event = open_incident(book, Opening(title=title, detected=detected, impact=impact, facts=facts))
        context.report.warn(f"incident {event.data['name']} was drafted: {title}")
    except OpskitError as fault:
        context.report.warn(f"no incident was drafted: {fault}")


def _facts(intent: Intent) -> dict[str, Any]:
    facts = {
        "operation": intent.id,
        "target": intent.target,
        "version": intent.version,
        "commit": intent.commit,
        "ref": intent.ref,
    }
    return facts | {
        name: text for name, text in (("reason", intent.reason), ("break_glass", intent.break_glass)) if text
    }


def _append(context: Context, kind: str, data: Mapping[str, Any], subject: str, *, share: bool = False) -> None:
    """The ledger is a record, not a gate: what keeps it from being written is said and does not stop production."""
    book = Ledger(context.git.within(SHARE_S), context.config.remote)
    try:
        book.append(kind, data, subject=subject)
        if share and context.config.remote and context.git.lines("remote"):
            synced = book.sync()
            if not synced.shared and synced.said:
                context.report.warn(synced.said)
    except OpskitError as fault:
        context.report.warn(f"the ledger was not written: {fault}")
