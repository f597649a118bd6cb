"""Alerts: tells people through apprise (chat, mail, pagers) what happened to a target.

The supervisor runs without any package, so it starts this module with the `opskit` that deployed: the URLs, which hold
secrets, come from a file in the state directory, what happened as one JSON object on standard input.
"""

import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from opskit.deploy.durable import write_atomically

FILE = "alerts.json"
INSTALL = "pip install 'opskit[alerts]'"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def faults(urls: Sequence[str], *, environ: Mapping[str, str]) -> list[str]:
    """Why alerts to these URLs cannot be sent, each with its key; none: they can. A URL's secrets are not shown."""
    if not urls:
        return []
    if find_spec("apprise") is None:
        return [f"alerts: no alert will be sent, apprise is not installed; {INSTALL}"]
    import apprise

    found = []
    for at, url in enumerate(urls):
        missing = [name for match in _VARIABLE.finditer(url) if (name := match[1] or match[2]) not in environ]
        if missing:
            found.append(f"alerts[{at}]: ${missing[0]} is not set in the environment of this call; set it")
        elif apprise.Apprise.instantiate(_filled(url, environ)) is None:
            found.append(f"alerts[{at}]: {masked(url)} is no URL that apprise knows; see `apprise --details`")
    return found


def masked(url: str) -> str:
    """As much of a URL as may be shown: its scheme."""
    scheme, mark, _ = url.partition("://")
    return f"{scheme}://…" if mark else "the text"


def store(state_dir: Path, urls: Sequence[str], *, environ: Mapping[str, str]) -> str:
    """Keep the URLs for the supervisor, `$NAME` filled from *environ*; returns the command that alerts, "" for none."""
    path = state_dir / FILE
    if not urls:
        path.unlink(missing_ok=True)
        return ""
    write_atomically(path, json.dumps({"urls": [_filled(url, environ) for url in urls]}).encode())
    path.chmod(0o600)
    return shlex.join([sys.executable, "-E", "-P", "-m", "opskit.alerts", str(state_dir)])


def stored(state_dir: Path) -> list[str]:
    """What `store` kept."""
    try:
        return [str(url) for url in json.loads((state_dir / FILE).read_bytes())["urls"]]
    except FileNotFoundError:
        return []


def addresses(state_dir: Path, urls: Sequence[str], *, environ: Mapping[str, str]) -> list[str]:
    """The configured *urls*, `$NAME` filled from *environ*; where that lacks a name, what the last deploy filled in."""
    filled = [_filled(url, environ) for url in urls]
    kept = stored(state_dir) if any(_VARIABLE.search(url) for url in filled) else []
    return kept if len(kept) == len(filled) else filled


def send(urls: Sequence[str], event: Mapping[str, Any]) -> list[str]:
    """Tell of *event* at every URL; returns a sentence for each that could not be reached, after seconds at most."""
    if not urls:
        return []
    if find_spec("apprise") is None:
        return [f"no alert was sent, apprise is not installed; {INSTALL}"]
    import apprise

    title, body = words(event)
    well = event.get("event") == "watch.recovered"
    kind = apprise.NotifyType.SUCCESS if well else apprise.NotifyType.FAILURE
    failed = []
    for url in urls:
        service = apprise.Apprise()
        known = service.add(url)
        if not known or not service.notify(body=body, title=title, notify_type=kind):
            failed.append(f"the alert to {masked(url)} was not delivered: {title}")
    return failed


def words(event: Mapping[str, Any]) -> tuple[str, str]:
    """Title and text of an event (`event`, `target`, `version` and what it saw), with the command to type next."""
    target, version = event.get("target", ""), event.get("version", "")
    restored = (event.get("restored") or {}).get("version", "")
    back = f"opskit rollback --target {target} --reason WHY"
    match event.get("event"):
        case "service.crash_loop":
            title = f"{target}: {version} is in a crash loop"
            saw = f"{event.get('exits')} exits, the last: {event.get('detail')}; next try in {event.get('retry_s'):g} s"
            act = f"opskit logs --target {target}; {back}"
        case "bake.failed" | "deploy.put_back" if restored:
            title = f"{target}: {version} failed in service; {restored} is back"
            saw, act = f"{event.get('check')}: {event.get('saw')}", f"opskit logs --target {target}"
        case "bake.failed":
            title = f"{target}: {version} fails and there is nothing to go back to"
            saw, act = (
                f"{event.get('check')}: {event.get('saw')}",
                f"opskit logs --target {target}; opskit hotfix start",
            )
        case "watch.failed" | "watch.recovered" as what:
            return _of_watch(event, well=what == "watch.recovered")
        case other:
            title = f"{target}: {event.get('title', other)}"
            saw, act = str(event.get("detail", "")), f"opskit status --target {target}"
    return title, f"{saw}\n{act}"


def _of_watch(event: Mapping[str, Any], *, well: bool) -> tuple[str, str]:
    target, version = event["target"], event.get("version") or "nothing in service"
    names = ", ".join(each["check"] for each in event["checks"])
    lines = [f"{each['check']}: {each['detail']}" for each in event["checks"]]
    if well:
        return f"{target}: {names} well again ({version})", "\n".join(lines)
    why = shlex.quote(" ".join(lines[0].split())[:200])
    commands = [
        f"opskit status --target {target}",
        f"opskit logs --target {target} -n 200",
        f"opskit rollback --target {target} --reason {why}",
        f"opskit incident open {why} --severity S1",
    ]
    return f"{target}: {names} bad ({version})", "\n".join([*lines, *commands])


def main() -> None:
    """`python -m opskit.alerts STATE_DIR`, the event on standard input; 1 if somebody could not be told."""
    failed = send(stored(Path(sys.argv[1])), json.load(sys.stdin))
    if failed:
        sys.exit("\n".join(f"opskit: {sentence}" for sentence in failed))


def _filled(url: str, environ: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: environ.get(match[1] or match[2], match[0]), url)


if __name__ == "__main__":
    main()
