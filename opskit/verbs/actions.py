"""`opskit actions list | add | edit | done | verify`: what is to be done so that it does not happen again."""

import shlex
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from opskit import ci
from opskit.errors import Bad, Refused
from opskit.git.runner import Git
from opskit.incident.actions import EDITED, KIND, PREFIX, Action, State, actions, choose, read_due, read_type
from opskit.incident.book import Reading, clean, one_line
from opskit.incident.record import choose as choose_incident
from opskit.incident.record import incidents
from opskit.ledger import Event
from opskit.report import Report
from opskit.transaction import open_desk
from opskit.verbs.options import DryRun, Json, Yes, confirm

app = typer.Typer(rich_markup_mode=None, add_completion=False, invoke_without_command=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="ACT-001, act-1 or 1.")]
Owner = Annotated[str, typer.Option("--owner", help="Who sees to it; default: you, as git knows you.")]
Due = Annotated[str, typer.Option("--due", metavar="DAY", help="Until when: 2026-12-01, or 14 days.")]
Kind = Annotated[str, typer.Option("--type", metavar="TYPE", help="prevent, detect, mitigate or process.")]
Proof = Annotated[str, typer.Option("--verify", metavar="COMMAND", help="A shell command that passes once it is done.")]
Learnt = Annotated[str, typer.Option("--incident", metavar="ID", help="The incident it was learnt from.")]
NewOwner = Annotated[str, typer.Option("--owner", help="Who sees to it.")]


@app.callback()
def actions_(context: typer.Context, *, json: Json = False) -> None:
    """Action items: each with an owner, a day, a type, and a command that proves it done.

    Example: opskit actions --json
    """
    if context.invoked_subcommand is None:
        list_all(json=json)


@app.command(name="list")
def list_all(
    *,
    still_open: Annotated[bool, typer.Option("--open", help="Only those that are not done.")] = False,
    incident: Learnt = "",
    json: Json = False,
) -> None:
    """Every action item, the most urgent first.

    Example: opskit actions list --open
    """
    room = _enter(Report(as_json=json))
    wanted = room.incident(incident) if incident else ""
    chosen = [
        one
        for one in room.actions
        if (one.state is State.OPEN or not still_open) and (not wanted or one.incident == wanted)
    ]
    chosen.sort(key=lambda one: (one.state is not State.OPEN, one.due))
    for one in chosen:
        room.report.say(room.line(one))
    if not chosen:
        room.report.say("nothing is to be done" if still_open else "no action item yet")
    room.report.result(actions=[one.as_json(room.now.date()) for one in chosen])


@app.command()
def add(
    title: Annotated[str, typer.Argument(help="What is to be done.")],
    *,
    owner: Owner = "",
    due: Due = "14 days",
    kind: Kind = "prevent",
    verify: Proof = "",
    incident: Learnt = "",
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - it asks nothing
) -> None:
    """Add one.

    Example: opskit actions add "Smoke covers Unicode rooms" --owner Ada --type detect --verify "pytest -q smoke"
    """
    room = _enter(Report(as_json=json))
    data: dict[str, Any] = {
        "title": one_line(title, what="TITLE"),
        "owner": clean(owner)
        or room.desk.git.run("config", "user.name", check=False).out.decode("utf-8", "replace").strip(),
        "due": read_due(due, today=room.now.date()),
        "type": read_type(kind),
        "verify": clean(verify),
        "incident": room.incident(incident) if incident else "",
        "state": State.OPEN,
    }
    if dry_run:
        event = room.draft(KIND, {**data, "name": room.next_name(KIND, PREFIX)})
    else:
        event = room.ledger.number(KIND, lambda name: (data, f"action {name}: {data['title']}"), prefix=PREFIX)
    room.answer(event, of=event.id, dry_run=dry_run)


@app.command()
def edit(
    name: Id,
    *,
    title: Annotated[str, typer.Option("--title", help="What is to be done.")] = "",
    owner: NewOwner = "",
    due: Due = "",
    kind: Kind = "",
    verify: Proof = "",
    incident: Learnt = "",
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - it asks nothing
) -> None:
    """Give it another owner, day, type or command.

    Example: opskit actions edit ACT-001 --owner Bo --due 2026-12-01
    """
    room = _enter(Report(as_json=json))
    one = choose(room.actions, name)
    data = {
        "title": one_line(title, what="--title") if title else "",
        "owner": clean(owner),
        "due": read_due(due, today=room.now.date()) if due else "",
        "type": read_type(kind) if kind else "",
        "verify": clean(verify),
        "incident": room.incident(incident) if incident else "",
    }
    changed: dict[str, Any] = {key: value for key, value in data.items() if value and value != getattr(one, key)}
    room.act(one, EDITED if changed else "", said=f"edited: {', '.join(changed)}", dry_run=dry_run, **changed)


@app.command()
def done(
    name: Id,
    *,
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - it asks nothing
) -> None:
    """Say that it is done; `verify` proves it.

    Example: opskit actions done ACT-001
    """
    room = _enter(Report(as_json=json))
    one = choose(room.actions, name)
    room.act(one, State.DONE if one.state is State.OPEN else "", said="done", dry_run=dry_run)


@app.command()
def verify(name: Id, *, json: Json = False, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Run its command at the top of this work tree: it passes, and the action item is verified; or 1.

    Example: opskit actions verify ACT-001
    """
    room = _enter(Report(as_json=json))
    one = choose(room.actions, name)
    if not one.verify:
        raise Refused(
            f"{one.name} has no command that would prove it done",
            remedy=f'opskit actions edit {one.name} --verify "COMMAND", or opskit actions done {one.name}',
        )
    if dry_run:
        room.report.say(f"would run in {room.desk.config_dir}: {one.verify}")
        room.report.result(**one.as_json(room.now.date()), command=one.verify, passed=None, dry_run=True)
        return
    wrote = f" ({one.author} wrote it)" if one.author else ""
    confirm(f"Run {one.verify!r}{wrote} in {room.desk.config_dir}?", yes=yes)
    log = room.desk.git.common_dir / "opskit" / "actions" / f"{one.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with room.report.step(f"{one.name}: {one.verify}") as shown:
        code = ci.run_command(one.verify, room.desk.config_dir, log=log)
        shown.status = "failed" if code else "done"
    told = {"command": one.verify, "passed": not code, "seconds": round(time.monotonic() - started, 3), "log": str(log)}
    if code:
        if output := ci.tail(log):
            room.report.say(output)
        raise Bad(
            f"{one.name} is not verified: {one.verify!r} ended with {code}",
            remedy=f"see {log}",
            fields={**one.as_json(room.now.date()), **told},
        )
    head = room.desk.git.at(room.desk.config_dir).run("rev-parse", "--verify", "--quiet", "HEAD", check=False)
    facts = {"command": one.verify, "commit": head.out.decode("ascii").strip()}
    act = "" if one.state is State.VERIFIED else State.VERIFIED
    room.act(one, act, said="verified", dry_run=False, told=told, **facts)


class _Room(Reading):
    """The action items of the record, and how the command answers."""

    @property
    def actions(self) -> list[Action]:
        """Every action item, oldest first."""
        return actions(self.events)

    def incident(self, wanted: str) -> str:
        """The name of the incident meant; raises `UsageFault`."""
        return choose_incident(incidents(self.events), wanted).name

    def line(self, one: Action) -> str:
        """One action item in a line."""
        late = " OVERDUE" if one.overdue(self.now.date()) else ""
        facts = (one.type, one.owner or "nobody owns it", f"due {one.due or 'never'}", one.incident)
        return f"{one.name} {one.state}{late}: {one.title} ({', '.join(filter(None, facts))})"

    def act(
        self, one: Action, act: str, *, said: str, dry_run: bool, told: Mapping[str, Any] | None = None, **data: Any
    ) -> None:
        """Write what was done with *one* ("" = nothing new) and tell how it stands."""
        event = None
        facts = {"act": act, "act_of": one.event, "name": one.name, **data}
        if act:
            subject = f"action {one.name} {said}"
            event = self.draft(KIND, facts) if dry_run else self.ledger.append(KIND, facts, subject=subject)
        self.answer(event, of=one.event, dry_run=dry_run, told=told)

    def answer(self, event: Event | None, *, of: str, dry_run: bool, told: Mapping[str, Any] | None = None) -> None:
        """Share the new event (None: nothing new), and tell how the action item stands."""
        written = self.take_in(event, dry_run=dry_run)
        one = next(one for one in self.actions if one.event == of)
        self.report.say(f"{'would be: ' if dry_run and event else ''}{self.line(one)}")
        if event is None and told is None:
            self.report.say("nothing was written: it is so already")
        if one.state is State.DONE and one.verify:
            self.report.say(f"next: opskit actions verify {one.name}, which runs {shlex.quote(one.verify)}")
        self.report.result(**one.as_json(self.now.date()), **(told or {}), **written)


def _enter(report: Report) -> _Room:
    return _Room.of(open_desk(report))


def _me(git: Git) -> str:
    return git.run("config", "user.name", check=False).out.decode("utf-8", "replace").strip()
