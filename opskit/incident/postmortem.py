"""The post-mortem of an incident: what the record knows is filled in, what only people know is marked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opskit.incident.actions import Action, actions
from opskit.incident.assessment import standing
from opskit.incident.markdown import block, code, plain, table
from opskit.incident.record import Incident
from opskit.incident.suspects import Deploy, fixes, suspects
from opskit.incident.timeline import Row, timeline
from opskit.ledger import Event
from opskit.moments import in_words, shown

TO_WRITE = "**To write:**"
_HEADING = re.compile(r"^#{2,3} (.+)$")


@dataclass(frozen=True, slots=True)
class Story:
    """All that the record knows of an incident, as of `now`."""

    incident: Incident
    now: datetime
    rows: Sequence[Row]
    suspects: Sequence[Deploy]
    fix: Deploy | None  # the first hotfix for it that stayed in production
    tests: str  # what the hotfix's check says of its tests, "" if it was not checked
    actions: Sequence[Action]

    @property
    def fixed_s(self) -> float | None:
        """Seconds from report to fix in production; None while there is none. Without a hotfix it ends as resolved."""
        end = self.fix.at if self.fix else self.incident.times.resolved
        return max(0.0, (end - self.incident.times.detected).total_seconds()) if end else None


def story(incident: Incident, events: Sequence[Event], *, now: datetime) -> Story:
    """What *events* know of *incident*."""
    deployed = [one for one in fixes(events, incident.name) if not one.left]
    tips = {event.data.get("tip") for event in events if _mends(event, incident)}
    checks = [event.data for event in events if event.kind == "hotfix_check" and event.data.get("sha") in tips]
    rows = checks[-1].get("rows", []) if checks else []
    tests = next((str(row.get("detail", "")) for row in rows if row.get("name") == "fixes the issue"), "")
    detected = incident.times.detected
    return Story(
        incident=incident,
        now=now,
        rows=timeline(incident, events),
        suspects=[one for one in suspects(events, detected=detected, now=detected) if one.at <= detected],
        fix=deployed[0] if deployed else None,
        tests=tests,
        actions=[one for one in actions(events) if one.incident == incident.name],
    )


def _mends(event: Event, incident: Incident) -> bool:
    return event.kind == "hotfix" and event.data.get("incident") == incident.name


def document(told: Story, events: Sequence[Event]) -> str:
    """The post-mortem as Markdown."""
    parts = [
        f"# {told.incident.name}: {plain(told.incident.title)}",
        "Blameless: people did what made sense with what they knew. This asks what made it possible.",
        "## Summary",
        block("summary", _summary(told, events)),
        _to_write("What happened, in two or three sentences for somebody who was not there."),
        "## Impact in numbers",
        block("impact", _impact(told)),
        _to_write("How many users, rooms, messages or requests were hit? Was anything lost or exposed?"),
        "## Timeline",
        block("timeline", _timeline(told)),
        "## Root cause and contributing factors",
        block("changes", _changes(told)),
        _to_write(
            "The condition in the system that made it possible, then what added to it. Ask why until it is no person."
        ),
        "## Why it wasn't caught",
        *([block("tests", _tests(told))] if told.tests else []),
        _to_write("Which test, review, smoke check or alert could have caught it, and why did none?"),
        "## What went well / wrong / where we got lucky",
        "### What went well",
        _to_write("What helped, and should stay?"),
        "### What went wrong",
        _to_write("What slowed us down, or made it worse?"),
        "### Where we got lucky",
        _to_write("What could have been worse, and only by chance was not?"),
        "## Action items",
        block("actions", _actions(told)),
        "## Report to fix in production",
        block("fix", _report_to_fix(told)),
    ]
    return "\n\n".join(parts) + "\n"


def unwritten(text: str) -> list[str]:
    """The headings under which something is still marked as to be written, each once."""
    found, heading = dict[str, None](), ""
    for line in text.splitlines():
        if match := _HEADING.match(line):
            heading = match[1].strip()
        elif TO_WRITE in line:
            found[heading] = None
    return list(found)


def _to_write(question: str) -> str:
    return f"> {TO_WRITE} {question}"


def _summary(told: Story, events: Sequence[Event]) -> str:
    one, times = told.incident, told.incident.times
    found = standing(one, events, now=told.now)
    lines = [f"- **{plain(one.title)}**, noticed {shown(times.detected)}."]
    if one.severity:
        lines.append(f"- {one.severity} {one.severity.meaning}.")
    if found.decision:
        lines.append(f"- Decision: {plain(found.decision)} ({plain(found.rule)}).")
    for word, moment in (("Mitigated", times.mitigated), ("Resolved", times.resolved)):
        after = f"{in_words(_after(told, moment))} after it was noticed" if moment else "not yet"
        lines.append(f"- {word}: {after}.")
    return "\n".join(lines)


def _impact(told: Story) -> str:
    times = told.incident.times
    recovered = told.incident.recovered_s()
    hurt = in_words(recovered) if recovered is not None else f"{in_words(_after(told, told.now))} so far"
    rows = [("What users saw", plain(told.incident.impact) or "not written down"), ("Users were hurt for", hurt)]
    spans = (("Noticed to written down", times.opened), ("Noticed to mitigated", times.mitigated))
    for label, moment in (*spans, ("Noticed to resolved", times.resolved)):
        rows.append((label, in_words(_after(told, moment)) if moment else "not yet"))
    rows.append(("Report to fix in production", in_words(told.fixed_s) if told.fixed_s is not None else "not yet"))
    for label, kind in (("Deploys meanwhile", "deploy"), ("Rollbacks meanwhile", "rollback")):
        rows.append((label, str(sum(row.kind == kind for row in told.rows))))
    return table(("What", "Number"), rows)


def _timeline(told: Story) -> str:
    rows = [(f"{row.at:%Y-%m-%d %H:%M:%S}", plain(row.text), plain(row.actor), code(row.id)) for row in told.rows]
    return table(("Time (UTC)", "What happened", "Who", "Event"), rows)


def _changes(told: Story) -> str:
    before = [
        f"- {plain(one.version)} on {plain(one.target)}, {shown(one.at)}, before it {plain(one.before) or 'nothing'}"
        f" ({code(one.event)})"
        for one in told.suspects
    ]
    head = "Went into service in the 48 hours before it was noticed:"
    parts = ["\n".join([head, "", *before]) if before else "No deploy of the 48 hours before it is on record."]
    if told.fix:
        parts.append(f"Mended by {plain(told.fix.version)} (commit {code(told.fix.commit[:12])}).")
    return "\n\n".join(parts)


def _tests(told: Story) -> str:
    return f"Written for the fix, and the first to show the fault: {plain(told.tests)}."


def _actions(told: Story) -> str:
    if not told.actions:
        name = told.incident.name
        return _to_write(f"What keeps it from happening again? {code(f'opskit actions add … --incident {name}')}")
    head = ("Id", "What", "Owner", "Due", "Type", "Verified by", "State")
    rows = [
        (
            one.name,
            plain(one.title),
            plain(one.owner) or TO_WRITE,
            one.due or TO_WRITE,
            plain(one.type),
            code(one.verify) or "nothing yet",
            one.state,
        )
        for one in told.actions
    ]
    return table(head, rows)


def _report_to_fix(told: Story) -> str:
    start = shown(told.incident.times.detected)
    if told.fixed_s is None:
        return f"Reported {start}; no fix is in production yet."
    span = in_words(told.fixed_s)
    if told.fix:
        end = f"{plain(told.fix.version)} in production, {shown(told.fix.at)} ({code(told.fix.event)})"
    else:
        end = f"resolved, {shown(told.incident.times.resolved or told.now)}; no hotfix of its own is on record"
    return f"**{span}**: reported {start}, {end}."


def _after(told: Story, moment: datetime) -> float:
    return max(timedelta(), moment - told.incident.times.detected).total_seconds()
