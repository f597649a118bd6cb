"""The checks a release must pass, each giving what it saw; a bad one is tried again before it is believed."""

import http.client
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 5.0
BODY_LIMIT_BYTES = 65536
RETRY_FOR_S = 10.0  # a check that has failed for this long is believed
PAUSES_S = (0.3, 1.0)
_DURATION = re.compile(r"\s+[\d.]+ m?s$")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check saw. `skipped` says why it could not be measured; `tries` over 1 means it failed at first."""

    check: str
    ok: bool
    saw: str
    skipped: bool = False
    tries: int = 1


def persistently(attempt: Callable[[], Verdict], *, given_up: Callable[[], str]) -> Verdict:
    """The verdict of *attempt*, tried up to three times; *given_up* says why no retry can help, else "".

    A process that died is not excused by its successor, so a crash ends the tries.
    """
    started = time.monotonic()
    for tries, pause_s in enumerate((*PAUSES_S, None), start=1):
        verdict = attempt()
        reason = given_up()
        if reason:
            return Verdict(verdict.check, False, f"{reason}; {verdict.saw}" if not verdict.ok else reason, tries=tries)
        if verdict.ok or pause_s is None or time.monotonic() - started > RETRY_FOR_S:
            return Verdict(verdict.check, verdict.ok, verdict.saw, verdict.skipped, tries)
        time.sleep(pause_s)
    raise AssertionError("unreachable: the last pause is None")


def health(url: str, path: str) -> Verdict:
    """GET *path*: 2xx is able to serve. What a problem body names as failing is quoted."""
    status, body = get(url, path)
    if status is None:
        return Verdict("health", False, f"GET {path}: {body}")
    if 200 <= status < 300:
        return Verdict("health", True, f"{status}")
    failing = body.get("failing") if isinstance(body, dict) else None
    detail = f", failing: {', '.join(map(str, failing))}" if isinstance(failing, list) else ""
    return Verdict("health", False, f"GET {path} answered {status}{detail}")


def version(url: str, path: str, *, version: str, commit: str) -> Verdict:
    """GET *path* and compare `version` and `commit`; a service without such a path (404) is skipped."""
    if not path:
        return Verdict("version", True, "no version_path is configured", skipped=True)
    status, body = get(url, path)
    if status == 404:
        return Verdict("version", True, f'{path} answers 404; set version_path = "" if there is none', skipped=True)
    if status is None or not 200 <= status < 300:
        return Verdict("version", False, f"GET {path}: {body if status is None else f'answered {status}'}")
    if not isinstance(body, dict):
        return Verdict("version", False, f"GET {path} answered no JSON object")
    for name, wanted in (("version", version), ("commit", commit)):
        seen = str(body.get(name, ""))
        if seen != wanted and not (name == "commit" and len(seen) >= 7 and wanted.startswith(seen)):
            return Verdict("version", False, f"GET {path} says {name} {seen or 'nothing'!r}, not {wanted!r}")
    return Verdict("version", True, version)


def smoke_summary(printed: str) -> str:
    """The sentence of a failed smoke: its first line marked ✗ with what follows it, else its last line."""
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()]
    red = [at for at, line in enumerate(lines) if line.lstrip().startswith("✗")]
    if not red:
        return lines[-1].strip() if lines else "it printed nothing"
    first = red[0]
    name = _DURATION.sub("", lines[first].lstrip().removeprefix("✗").strip())
    below = lines[first + 1] if first + 1 < len(lines) else ""
    more = f"; and {len(red) - 1} more red" if len(red) > 1 else ""
    return f"{name}: {below.strip()}{more}" if below.startswith(" ") else f"{name}{more}"


def get(url: str, path: str, *, limit_bytes: int = BODY_LIMIT_BYTES) -> tuple[int | None, Any]:
    """Status and body (parsed if it is JSON), or None and the reason there was no answer."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}{path}", headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(limit_bytes)
    except (OSError, http.client.HTTPException) as fault:
        return None, f"no answer ({str(fault) or type(fault).__name__})"
    finally:
        connection.close()
    try:
        return answer.status, json.loads(body)
    except ValueError:
        return answer.status, body.decode("utf-8", "replace")
