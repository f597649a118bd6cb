"""What the steps of both scenarios are judged by: the remote's references, what is in service, and the ledger."""

import time

from opskit.drill.runner import Check, Unmet
from opskit.drill.sandbox import Sandbox
from opskit.incident.record import Incident, choose, incidents

NOTICED_S = 10.0
"""How long the supervisor gets to see that a process has ended."""


def released(tag: str) -> Check:
    """The remote has the tag, on its main and in its develop."""

    def check(place: Sandbox) -> str:
        refs = (
            place.remote.lines("for-each-ref", "--contains", tag, "--format=%(refname:short)")
            if _has(place, tag)
            else []
        )
        if not {"main", "develop", tag} <= set(refs):
            raise Unmet(f"{tag} on main and develop of the remote", ", ".join(refs))
        return f"{tag} is on main and develop of the remote"

    return check


def serves(version: str) -> Check:
    """That version is in service."""

    def check(place: Sandbox) -> str:
        if place.running() != version:
            raise Unmet(f"{version} in service", place.running())
        return f"{version} serves {place.url}"

    return check


def opened(place: Sandbox) -> str:
    """INC-001 stands in the ledger as S0."""
    one = incident(place)
    if one.severity != "S0" or not one.times.opened:
        raise Unmet("an open S0", f"{one.name} {one.severity} {one.state}")
    return f"{one.name}, detected {one.times.detected:%H:%M:%S} UTC"


def decided(decision: str) -> Check:
    """INC-001 was assessed so."""

    def check(place: Sandbox) -> str:
        one = incident(place)
        if one.decision != decision:
            raise Unmet(f"the decision {decision}", one.decision or "none")
        return f"{decision}: {one.rule}"

    return check


def in_state(state: str) -> Check:
    """INC-001 is mitigated, or resolved."""

    def check(place: Sandbox) -> str:
        one = incident(place)
        if one.state != state:
            raise Unmet(f"{one.name} {state}", one.state)
        return f"{one.name} is {state}"

    return check


def post_mortem(*needed: str) -> Check:
    """The post-mortem is written, and has these texts beside its timeline."""

    def check(place: Sandbox) -> str:
        path = place.clone / "runbooks" / "postmortems" / "INC-001.md"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        missing = [one for one in ("Timeline", *needed) if one not in text]
        if missing:
            raise Unmet(
                f"{', '.join(missing)} in {path.name}", f"{len(text)} characters without" if text else "no file"
            )
        return f"{path.relative_to(place.clone)}, {len(text.splitlines())} lines"

    return check


def reported(place: Sandbox) -> str:
    """The report was written, and tells of INC-001."""
    path = place.clone / "report.html"
    if "INC-001" not in (path.read_text(encoding="utf-8") if path.is_file() else ""):
        raise Unmet(f"INC-001 in {path.name}", "a report without it" if path.is_file() else "no file")
    return f"{path.name} tells of INC-001"


def crashed(times: int) -> Check:
    """The service in front of the users ended by itself so often, and is back."""

    def check(place: Sandbox) -> str:
        deadline = time.monotonic() + NOTICED_S
        while (running := place.control.status().running) is None or running.exits < times:
            if time.monotonic() > deadline:
                raise Unmet(f"{times} crashes", str(running.exits) if running else "nothing in service")
            time.sleep(0.1)
        return f"{running.exits} crashes, the last {running.last_exit}; it was started again each time"

    return check


def incident(place: Sandbox) -> Incident:
    """INC-001, the drill's one incident; raises `UsageFault` before it is opened."""
    return choose(incidents(place.events), "INC-001")


def _has(place: Sandbox, tag: str) -> bool:
    return tag in place.remote.lines("tag", "--list")
