"""`opskit incident open | note | assess | mitigate | resolve | list | show`: the record of what went wrong."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any

import typer

from opskit.errors import UsageFault
from opskit.incident import telling
from opskit.incident.assessment import Assessment, Cause, assess, standing
from opskit.incident.book import Opening, Reading, act_data, clean, one_line, open_incident
from opskit.incident.record import (
    KIND,
    PREFIX,
    Act,
    Incident,
    already,
    check,
    check_time,
    choose,
    grade,
    incidents,
)
from opskit.incident.suspects import repair
from opskit.incident.timeline import timeline
from opskit.ledger import Event
from opskit.moments import parse_moment, shown, told
from opskit.report import Report
from opskit.transaction import open_desk
from opskit.verbs.options import DryRun, Json, Yes

app = typer.Typer(rich_markup_mode=None, add_completion=False, invoke_without_command=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="INC-001, inc-1 or 1.")]
Grade = Annotated[str, typer.Option("--severity", metavar="S0..S3", help="How bad it is for users.")]
Where = Annotated[
    Cause | None, typer.Option("--cause", case_sensitive=False, help="Where you see the fault; else the record tells.")
]
Impact = Annotated[str, typer.Option("--impact", help="What users see, in numbers where you have them.")]
At = Annotated[str, typer.Option("--at", metavar="T", help="When it was: ISO 8601, 14:05, 35 minutes ago; now.")]
Said = Annotated[str, typer.Option("--note", help="What was done; it stands in the timeline.")]


@app.callback()
def incident(context: typer.Context, *, json: Json = False) -> None:
    """What goes wrong in production, written down as it happens. S0 critical, S1 major, S2 minor, S3 cosmetic.

    Example: opskit incident --json
    """
    if context.invoked_subcommand is None:
        list_all(json=json)


@app.command(name="open")
def open_(
    title: Annotated[str, typer.Argument(help="What users see, in a few words.")],
    *,
    severity: Grade,
    impact: Impact = "",
    detected_at: Annotated[
        str, typer.Option("--detected-at", metavar="T", help="When it was noticed: ISO 8601, 14:05, 35 minutes ago.")
    ] = "",
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - it asks nothing
) -> None:
    """Open an incident; its number is its own in every clone.

    Example: opskit incident open "Messages to café-☕ crash the server" --severity S0 --detected-at "10 minutes ago"
    """
    room = _enter(Report(as_json=json))
    detected = parse_moment(detected_at, now=room.now, option="--detected-at") if detected_at else room.now
    opening = Opening(
        title=one_line(title, what="TITLE"), detected=detected, severity=grade(severity), impact=clean(impact)
    )
    if dry_run:
        event = room.draft(KIND, {**opening.data(), "name": room.next_name(KIND, PREFIX)})
    else:
        event = open_incident(room.ledger, opening)
    room.answer(event, of=event.id, act=Act.OPEN, dry_run=dry_run)


@app.command()
def note(
    name: Id,
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="What was seen, tried or decided.")],
    *,
    at: At = "",
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - it asks nothing
) -> None:
    """Write down what was seen, tried or decided; also after the incident is resolved.

    Example: opskit incident note INC-001 "only rooms with characters beyond ASCII crash"
    """
    room = _enter(Report(as_json=json))
    found = choose(room.incidents, name)
    said = clean(" ".join(text))
    if not said:
        raise UsageFault("TEXT is empty", remedy=f'opskit incident note {found.name} "what was seen or done"')
    room.act(found, Act.NOTE, said=f"note: {said}", at=at, dry_run=dry_run, text=said)


@app.command(name="assess")
def assess_(
    name: Id,
    *,
    severity: Grade = "",
    impact: Impact = "",
    cause: Where = None,
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - it asks nothing
) -> None:
    """Decide by the rule: rollback, hotfix, fix_forward or next_sprint. Names the deploys that may be at fault.

    Example: opskit incident assess INC-001 --severity S0
    """
    room = _enter(Report(as_json=json))
    known = choose(room.incidents, name)
    check(known, Act.ASSESS)
    wanted = replace(
        known,
        severity=grade(severity) if severity else known.severity,
        impact=clean(impact) or known.impact,
        cause=cause or known.cause,
    )
    if wanted.severity is None:
        raise UsageFault(
            f"{known.name} has no severity yet: say how bad it is for users",
            remedy=f"opskit incident assess {known.name} --severity S0 (or S1, S2, S3)",
        )
    found = assess(wanted, room.events, now=room.now)
    decided = replace(wanted, decision=str(found.decision), rule=found.rule)
    if decided == known:
        room.answer(None, of=known.event, act=Act.ASSESS, dry_run=dry_run)
        return
    data: dict[str, Any] = {"severity": wanted.severity, "impact": wanted.impact, "cause": wanted.cause}
    data |= {"decision": found.decision, "rule": found.rule}
    said = f"assessed as {wanted.severity}: {found.decision}"
    room.act(known, Act.ASSESS, said=said, dry_run=dry_run, **data)


@app.command()
def mitigate(
    name: Id,
    *,
    said: Said = "",
    at: At = "",
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - it asks nothing
) -> None:
    """Users are no longer hurt; the cause may still be there.

    Example: opskit incident mitigate INC-001 --note "rolled back to 1.0.0"
    """
    _end(_enter(Report(as_json=json)), name, Act.MITIGATE, said=said, at=at, dry_run=dry_run)


@app.command()
def resolve(
    name: Id,
    *,
    said: Said = "",
    at: At = "",
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - it asks nothing
) -> None:
    """It is over; `opskit postmortem` comes next.

    Example: opskit incident resolve INC-001
    """
    _end(_enter(Report(as_json=json)), name, Act.RESOLVE, said=said, at=at, dry_run=dry_run)


@app.command(name="list")
def list_all(
    *, still_open: Annotated[bool, typer.Option("--open", help="Only those not resolved.")] = False, json: Json = False
) -> None:
    """Every incident, newest first.

    Example: opskit incident list --open
    """
    room = _enter(Report(as_json=json))
    chosen = [one for one in reversed(room.incidents) if one.is_open or not still_open]
    for one in chosen:
        room.report.say(f"{shown(one.times.detected)}  {telling.headline(one)}")
    if not chosen:
        room.report.say("no incident is open" if still_open else "no incident yet")
    room.report.result(incidents=[room.fields(one, short=True) for one in chosen])


@app.command()
def show(name: Id, *, json: Json = False) -> None:
    """Print one: its assessment, its times, its timeline.

    Example: opskit incident show INC-001
    """
    room = _enter(Report(as_json=json))
    one = choose(room.incidents, name)
    room.say([telling.headline(one), *telling.assessment_lines(one, room.assessment(one)), *telling.time_lines(one)])
    room.say(telling.timeline_lines(timeline(one, room.events)))
    room.report.result(**room.fields(one))


class _Room(Reading):
    """The incidents of the record, and how the command answers."""

    @property
    def incidents(self) -> list[Incident]:
        """Every incident, oldest first."""
        return incidents(self.events)

    def assessment(self, one: Incident) -> Assessment:
        """Its assessment, with the suspects of when it was under way."""
        return standing(one, self.events, now=one.times.resolved or self.now)

    def say(self, lines: Iterable[str]) -> None:
        """Print lines for people."""
        for line in lines:
            self.report.say(line)

    def fields(self, one: Incident, *, short: bool = False) -> dict[str, Any]:
        """What the JSON object tells of it; *short* for lists."""
        found = self.assessment(one)
        fields = {**one.as_json(), **found.as_json(one.name), "assessed": bool(one.decision)}
        if short:
            return {key: value for key, value in fields.items() if key != "suspects"}
        return {**fields, "timeline": [row.as_json() for row in timeline(one, self.events)]}

    def act(self, one: Incident, act: Act, *, said: str, at: str = "", dry_run: bool, **data: Any) -> None:
        """Write an act that is allowed, at the time it was, and tell how the incident stands."""
        if at:
            moment = parse_moment(at, now=self.now, option="--at")
            check_time(one, act, moment, option="--at")
            data["at"] = told(moment)
        facts = act_data(one, act, **data)
        event = self.draft(KIND, facts) if dry_run else self.ledger.append(KIND, facts, subject=f"{one.name} {said}")
        self.answer(event, of=one.event, act=act, dry_run=dry_run)

    def answer(self, event: Event | None, *, of: str, act: Act, dry_run: bool) -> None:
        """Share the new event (None: nothing new), tell how the incident stands and what comes next."""
        written = self.take_in(event, dry_run=dry_run)
        one = next(one for one in self.incidents if one.event == of)
        found = self.assessment(one)
        self.report.say(f"{'would be: ' if dry_run and event else ''}{telling.headline(one)}")
        if act is Act.ASSESS:
            self.say(telling.assessment_lines(one, found))
        steps = (
            [] if act is Act.NOTE else list(telling.next_steps(one, found, repair(self.events, one.name), now=self.now))
        )
        self.say(f"{'next: ' if at == 0 else '      '}{step}" for at, step in enumerate(steps))
        self.report.result(**self.fields(one), **written)


def _enter(report: Report) -> _Room:
    return _Room.of(open_desk(report))


def _end(room: _Room, name: str, act: Act, *, said: str, at: str, dry_run: bool) -> None:
    """Mitigate or resolve: once; again is harmless."""
    one = choose(room.incidents, name)
    if since := already(one, act):
        room.report.say(f"{one.name} is {one.state} since {shown(since)}; nothing was written")
        room.answer(None, of=one.event, act=act, dry_run=dry_run)
        return
    check(one, act)
    text = clean(said)
    state = {Act.MITIGATE: "mitigated", Act.RESOLVE: "resolved"}[act]
    data = {"text": text} if text else {}
    room.act(one, act, said=f"{state}{f': {text}' if text else ''}", at=at, dry_run=dry_run, **data)
