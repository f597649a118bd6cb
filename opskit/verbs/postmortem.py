"""`opskit postmortem`: what was learnt of an incident, with everything the record knows filled in."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from opskit.deploy.durable import write_atomically
from opskit.errors import Refused
from opskit.incident.blame import INSTEAD, Warned, blaming
from opskit.incident.book import Reading
from opskit.incident.markdown import Merged, has_blocks, merge
from opskit.incident.postmortem import document, story, unwritten
from opskit.incident.record import Incident, choose, incidents
from opskit.moments import in_words
from opskit.report import Report
from opskit.transaction import open_desk
from opskit.verbs.options import DryRun, Json, Yes

app = typer.Typer(rich_markup_mode=None, add_completion=False)

FOLDER = Path("runbooks", "postmortems")


@app.command()
def postmortem(
    name: Annotated[str, typer.Argument(metavar="ID", help="INC-001, inc-1 or 1.")],
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Into runbooks/postmortems/; what a person wrote stays.")
    ] = False,
    json: Json = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001 - it asks nothing, and overwrites nobody's words
) -> None:
    """Print the post-mortem of an incident; --write writes it, or brings it up to date. Warns of wording that blames.

    Example: opskit postmortem INC-001 --write
    """
    report = Report(as_json=json)
    room = Reading.of(open_desk(report))
    one = choose(incidents(room.events), name)
    told = story(one, room.events, now=datetime.now(UTC))
    path = FOLDER / f"{one.name}.md"
    file = room.desk.config_dir / path
    there = _there(file)
    fresh = document(told, room.events)
    merged = Merged(fresh, (), (), ()) if there is None else merge(there, fresh)
    did = "created" if there is None else "updated" if merged.text != there else "unchanged"
    if write and not dry_run:
        if did != "unchanged":
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file.resolve(), merged.text.encode())
        report.say(f"{path} {did}{_how(merged)}")
    elif write:
        report.say(f"{path} would be {did}{_how(merged)}")
    elif not json:
        sys.stdout.write(merged.text)
        sys.stdout.flush()
    open_ends, warned = unwritten(merged.text), blaming(merged.text, names={event.actor for event in room.events})
    _advise(one, open_ends, warned)
    report.result(
        id=one.name,
        path=str(path),
        did=did if write else "printed",
        markdown=merged.text,
        to_write=open_ends,
        warnings=[line.as_json() for line in warned],
        kept=[*merged.edited, *merged.gone],
        report_to_fix_s=told.fixed_s,
        report_to_fix=None if told.fixed_s is None else in_words(told.fixed_s),
        dry_run=dry_run,
    )


def _advise(one: Incident, open_ends: list[str], warned: list[Warned]) -> None:
    """What is left for people to do, beside the page itself."""
    for line in warned:
        print(f"! line {line.line} blames ({line.words!r}); {INSTEAD}", file=sys.stderr)
    if open_ends:
        print(f"still to be written by a person: {', '.join(open_ends)}", file=sys.stderr)
    if one.is_open:
        print(f"{one.name} is not resolved yet: run it again afterwards, what you wrote stays", file=sys.stderr)


def _there(file: Path) -> str | None:
    """What stands in the file, None if there is none. Raises `Refused` for one that is wholly a person's."""
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as fault:
        raise Refused(
            f"{file} is no UTF-8 text and stays as it is", remedy="move it away, then run it again"
        ) from fault
    if not has_blocks(text):
        raise Refused(
            f"{file} was written by a person, or its opskit comments were removed: it stays as it is",
            remedy="move it away, then run it again and take over what you wrote",
        )
    return text


def _how(merged: Merged) -> str:
    """What was done with each block, in words."""
    parts = [
        f"{verb} {', '.join(keys)}"
        for verb, keys in (("made anew:", merged.renewed), ("kept as you edited it:", merged.edited),
                           ("left out as you did:", merged.gone))
        if keys
    ]  # fmt: skip
    return f" ({'; '.join(parts)})" if parts else ""
