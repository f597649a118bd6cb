"""`opskit ledger show | verify | export | sync`: the shared record of decisions."""

import sys
from typing import Annotated, Any

import typer

from opskit.errors import Bad
from opskit.ledger import REF, Event
from opskit.report import Report
from opskit.transaction import open_desk
from opskit.verbs.options import DryRun, Json, JsonLines, Yes

app = typer.Typer(rich_markup_mode=None, add_completion=False, invoke_without_command=True)

Kind = Annotated[str, typer.Option("--kind", help="Only this kind: release, ci, approval, deploy …")]


@app.callback()
def ledger(context: typer.Context, *, json: Json = False) -> None:
    """The record of releases, verdicts, approvals, deploys, incidents: a chain of commits on refs/opskit/ledger.

    Example: opskit ledger show --kind release
    """
    if context.invoked_subcommand is None:
        show(json=json)


@app.command()
def show(*, kind: Kind = "", json: Json = False) -> None:
    """Print the events, oldest first.

    Example: opskit ledger show --kind release
    """
    report = Report(as_json=json)
    events = _events(report, kind)
    for event in events:
        report.say(f"{event.at}  {event.subject}  ({event.actor})")
    if not events:
        report.say("the ledger is empty")
    report.result(events=[_plain(event) for event in events])


@app.command()
def export(*, kind: Kind = "", json: JsonLines = True) -> None:
    """Print the events as JSON Lines, whole, oldest first.

    Example: opskit ledger export > ledger.jsonl
    """
    report = Report(as_json=json)
    for event in _events(report, kind):
        report.line(schema=1, **_plain(event))


@app.command()
def verify(*, json: Json = False) -> None:
    """Check the chain: one parent each, an event in each, no id twice, nothing lost that the remote had; bad: 1.

    Example: opskit ledger verify
    """
    report = Report(as_json=json)
    book = open_desk(report).ledger
    faults, count = book.verify(), len(book.read())
    for fault in faults:
        report.warn(fault)
    if faults:
        raise Bad(
            f"the ledger has {len(faults)} fault(s)",
            remedy="git log refs/opskit/ledger shows the chain",
            fields={"ok": False, "events": count, "faults": faults},
        )
    report.result(ok=True, events=count, faults=[])
    report.say(f"{count} events, a sound chain")


@app.command()
def sync(*, json: Json = False, dry_run: DryRun = False, yes: Yes = False) -> None:  # noqa: ARG001 - it asks nothing
    """Fetch what others wrote and push what is only here.

    Example: opskit ledger sync --dry-run
    """
    report = Report(as_json=json)
    desk = open_desk(report)
    if dry_run:
        does = f"exchange {REF} with {desk.remote}" if desk.remote else "nothing: there is no remote"
        report.say(f"would do: {does}")
        report.result(dry_run=True, plan=[does])
        return
    synced = desk.ledger.sync()
    report.say(synced.said or f"shared; {synced.fetched} new events from others")
    report.result(shared=synced.shared, fetched=synced.fetched, detail=synced.said)


def _events(report: Report, kind: str) -> list[Event]:
    """The events of *kind* ("" = all) that are here or on the remote, oldest first."""
    book = open_desk(report).ledger
    if said := book.pull().said:
        print(f"opskit: {said}", file=sys.stderr)
    return [event for event in book.read() if kind in ("", event.kind)]


def _plain(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": event.at,
        "kind": event.kind,
        "subject": event.subject,
        "actor": event.actor,
        "commit": event.commit,
        "data": dict(event.data),
    }
