"""`opskit report`: how well delivery goes, by the five DORA measures, and what was done."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opskit.errors import UsageFault
from opskit.moments import in_words, parse_moment, shown, told
from opskit.report import Report
from opskit.verbs.options import Json, not_empty

if TYPE_CHECKING:
    from opskit.dora.measures import Measure
    from opskit.dora.summary import Summary

app = typer.Typer(rich_markup_mode=None, add_completion=False)
_EVER = datetime.fromtimestamp(0, UTC)


@app.command()
def report(
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="D", callback=not_empty, help="2026-11-01, 30 days, 2w; default: ever.")
    ] = "",
    target: Annotated[
        str, typer.Option("--target", "-t", callback=not_empty, help="Deployments of this target; default: of all.")
    ] = "",
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write one HTML file.")] = None,
    json: Json = False,
) -> None:
    """The five DORA measures (2024), and stories, releases, incidents and security findings, from ledger and history.

    Change lead time: commit to in service. Deployment frequency: per week. Failed deployment recovery time: in service
    to rolled back or mended. Change fail rate: the share rolled back or mended by a hotfix. Deployment rework rate: the
    share that are hotfixes. Below five it says "insufficient data".

    Example: opskit report --since 30d --html report.html
    """
    from opskit.deploy.layout import project_name
    from opskit.dora import deployments, measures, page, summary
    from opskit.release.outlook import read_outlook
    from opskit.transaction import open_desk

    out = Report(as_json=json)
    now = datetime.now(UTC)
    wanted = parse_moment(since, now=now, option="--since") if since else None
    desk = open_desk(out)
    _writable(html)
    if said := desk.ledger.pull().said:
        print(f"opskit: {said}", file=sys.stderr)
    events = desk.ledger.read()
    outlook = read_outlook(desk.git, desk.config)
    found = [
        one for one in deployments.deployments(events, tag_prefix=desk.config.tag_prefix) if target in ("", one.target)
    ]
    if target and not found:
        desk.config.target(target)  # raises if there is no such target
    found = deployments.with_lead_times(found, outlook.history, outlook.releases)
    start = wanted or min((one.at for one in found), default=now)
    measured = measures.measures(found, since=start, now=now)
    done = summary.summarise(
        outlook.attribution.commits_by_release(),
        events,
        hotfixes=[str(event.data.get("tag")) for event in events if event.kind == "hotfix"],
        since=wanted or _EVER,
        now=now,
    )
    _say(out, measured, done, since=shown(wanted) if wanted else "the beginning", until=shown(now))
    if html is not None:
        within = [one for one in found if one.at >= start]
        text = page.render(
            project_name(desk.config_dir),
            measured,
            done,
            within,
            since=shown(wanted) if wanted else "the beginning",
            until=shown(now),
            now=now,
        )
        html.write_text(text, encoding="utf-8")
        out.say(f"written: {html}")
    out.result(
        since=told(wanted),
        until=told(now),
        dora={one.key: one.as_json() for one in measured},
        summary=done.as_json(),
        deployments=[deployments.as_json(one) for one in found if one.at >= start],
        html=str(html) if html else None,
    )


def _writable(html: Path | None) -> None:
    """Raise `UsageFault` if the file cannot be there; before the work, not after it."""
    if html is None:
        return
    if html.is_dir():
        raise UsageFault(f"--html: {html} is a directory", remedy=f"name a file in it: --html {html / 'report.html'}")
    if not html.parent.is_dir():
        raise UsageFault(f"--html: there is no directory {html.parent}", remedy=f"mkdir -p {html.parent}")


def _say(out: Report, measured: "Sequence[Measure]", done: "Summary", *, since: str, until: str) -> None:
    out.say(f"From {since} until {until}")
    for one in measured:
        out.say(f"  {one.title:<31}  {one.words}  (n = {one.n} {one.counted})")
        out.say(f"      {one.definition}")
    released = "" if done.points_released == done.points else f", {done.points_released:g} of them released"
    out.say(f"Stories: {len(done.stories)}, {done.points:g} points{released}")
    for story in done.stories:
        points = "" if story["points"] is None else f"  {story['points']:g} points"
        out.say(f"  {story['id']}{points}  {story['release'] or 'not released'}")
    out.say(f"Releases: {len(done.releases)}")
    for release in done.releases:
        out.say(f"  {release['version']}  {release['at']}{'  hotfix' if release['hotfix'] else ''}")
    out.say(f"Incidents: {len(done.incidents)}")
    for incident in done.incidents:
        took = incident["time_to_recovery_s"]
        end = f"recovered in {in_words(took)}" if took is not None else incident["state"]
        out.say(f"  {incident['id']}  {incident['severity'] or 'not graded'}  {incident['title']}: {end}")
    security = done.security
    out.say(
        f"Security findings, S0 to S2: {security['found']} found, {security['fixed']} fixed, {security['open']} open"
    )
    for finding in security["findings"]:
        end = f"fixed {finding['fixed']}" if finding["fixed"] else "open"
        out.say(f"  {finding['severity']}  {finding['id']} at {finding['service']}: found {finding['found']}, {end}")
    for fix in security["fixes"]:
        out.say(f"  security fix: {fix['text']} ({fix['sha'][:12]}, {fix['release'] or 'not released'})")
