"""`opskit security-review`: probes a running service from outside, and records what it found."""

import os
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from opskit.errors import Exit, OpskitError, UsageFault
from opskit.report import Report
from opskit.verbs.options import DryRun, Json, Target, Yes, confirm, not_empty

if TYPE_CHECKING:
    from opskit.security_review.catalogue import Finding

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def security_review(
    *,
    url: Annotated[str, typer.Option("--url", metavar="URL", callback=not_empty, help="The service to review.")] = "",
    target: Target = "",
    max_wait: Annotated[
        float, typer.Option("--max-wait", min=0, metavar="S", help="Wait so long for a token to expire.")
    ] = 15,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Probe a running service as a stranger and as a user; 1 if something is S0 or S1.

    Handshake, tokens, sessions, membership, headers, CORS, errors, sizes, sign-in, TLS. It makes accounts named
    review-… and removes them; where registration is closed, SMOKE_USERNAME and SMOKE_PASSWORD name one. It says what it
    could not check. Use it on services that are yours.

    Example: opskit security-review --url http://127.0.0.1:8000
    """
    from opskit.security_review.review import PROBES, review
    from opskit.security_review.service import Service

    report = Report(as_json=json)
    if url and target:
        raise UsageFault("--url and --target are two ways to say the same thing", remedy="use one of them")
    target, address = ("", _usable(url)) if url else _of_target(target)
    account = _account()
    if dry_run:
        for probe in PROBES:
            report.say(f"would look at: {probe.name} ({', '.join(probe.covers)})")
        report.result(dry_run=True, url=address, plan=[probe.name for probe in PROBES])
        return
    confirm(f"Probe {address}, making accounts that are removed again?", yes=yes)
    service = Service(address)
    try:
        done = review(
            service, account=account, max_wait_s=max_wait, tell=lambda name, outcome: report.say(f"  {name}: {outcome}")
        )
    finally:
        service.close()
    report.say()
    for found in done.findings:
        row = found.as_json()
        report.say(f"{row['severity']}  {found.id}: {row['title']}")
        report.say(f"    {row['risk']}")
        report.say(f"    -> {row['remedy']}")
    for what, why in done.unchecked.items():
        report.say(f"not checked: {what}: {why}")
    for what in done.left:
        report.warn(f"could not be removed: {what}")
    bad = [found for found in done.findings if found.severity <= 1]
    counted = f"{len(done.findings)} finding{'' if len(done.findings) == 1 else 's'}"
    report.say(f"security-review: {counted}, {len(bad)} of them S0 or S1, at {address}")
    _record(report, address, target, done.findings, done.checked)
    report.result(
        url=address,
        findings=[found.as_json() for found in done.findings],
        checked=list(done.checked),
        unchecked=[{"what": what, "why": why} for what, why in done.unchecked.items()],
        left=done.left,
    )
    if bad:
        raise typer.Exit(Exit.BAD)


def _of_target(target: str) -> tuple[str, str]:
    """Name and address of what runs there; raises `Refused` if it does not."""
    from opskit.deploy.context import open_context
    from opskit.verbs.smoke import address_of

    return open_context(Report(as_json=True), target).name, address_of(target)


def _usable(url: str) -> str:
    """*url* without a trailing slash; raises `UsageFault` for what is no address of a service."""
    try:
        parts = urlsplit(url)
        bad = parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.port == 0
    except ValueError:
        bad = True
    if bad:
        raise UsageFault(f"--url: {url!r} is not the address of a service", remedy="such as http://127.0.0.1:8000")
    return url.rstrip("/")


def _account() -> tuple[str, str] | None:
    name, word = os.environ.get("SMOKE_USERNAME", ""), os.environ.get("SMOKE_PASSWORD", "")
    if bool(name) != bool(word):
        given, lacking = ("SMOKE_USERNAME", "SMOKE_PASSWORD") if name else ("SMOKE_PASSWORD", "SMOKE_USERNAME")
        raise UsageFault(f"{given} is set but {lacking} is not", remedy="set both, or neither to register anew")
    return (name, word) if name else None


def _record(report: Report, url: str, target: str, findings: "list[Finding]", checked: tuple[str, ...]) -> None:
    """Into the ledger, which `opskit report` counts found and fixed weaknesses from; without a repository, nowhere."""
    from opskit.transaction import open_desk

    rows = [{"id": found.id, "severity": found.severity.name} for found in findings]
    data = {"url": url, "target": target, "findings": rows, "checked": list(checked)}
    names = ", ".join(row["id"] for row in rows) or "nothing found"
    try:
        open_desk(report).ledger.append("security_review", data, subject=f"security review of {target or url}: {names}")
    except OpskitError as fault:
        report.say(f"not recorded: {fault}")
