"""`python -m smoke --url URL`: exit 0 if all is green, 1 if something is red, 2 for a wrong call, 130 interrupted."""

import argparse
import json
import os
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from smoke.run import Check, Verdict, run


def usable_url(text: str) -> str:
    """*text* without a trailing slash if it is an http(s) address with a host; raises `argparse.ArgumentTypeError`."""
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  # reading it is what validates it
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"{text!r} is no URL: {fault}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is not the address of a service, such as http://127.0.0.1:8000")
    return text.rstrip("/")


def account() -> tuple[str, str] | None:
    """Name and password from SMOKE_USERNAME and SMOKE_PASSWORD, None if neither is set; raises `ValueError`."""
    name, password = os.environ.get("SMOKE_USERNAME", ""), os.environ.get("SMOKE_PASSWORD", "")
    if bool(name) != bool(password):
        given, lacking = ("SMOKE_USERNAME", "SMOKE_PASSWORD") if name else ("SMOKE_PASSWORD", "SMOKE_USERNAME")
        raise ValueError(f"{given} is set but {lacking} is not: set both, or neither to register anew")
    return (name, password) if name else None


def line(check: Check, *, colour: bool) -> str:
    """A check as one line for people, with what was expected and seen under it if it failed."""
    mark, code = ("✓", "32") if check.ok else ("✗", "31")
    mark = f"\x1b[{code}m{mark}\x1b[0m" if colour else mark
    detail = "" if check.ok else f"\n    {check.detail}"
    return f"{mark} {check.name}  {check.ms} ms{detail}"


def summary(verdict: Verdict) -> str:
    """The last line for people."""
    counts = f"{verdict.passed} passed, {verdict.failed} failed" if verdict.failed else f"{verdict.passed} passed"
    return f"smoke: {'green' if verdict.green else 'RED'}, {counts} in {verdict.seconds:.1f} s at {verdict.url}"


def as_json(verdict: Verdict) -> str:
    """The verdict as the one JSON object that scripts read."""
    checks = [{"name": c.name, "ok": c.ok, "ms": c.ms, "detail": c.detail} for c in verdict.checks]
    fields = {"schema": 1, "url": verdict.url, "passed": verdict.passed, "failed": verdict.failed}
    return json.dumps({**fields, "seconds": verdict.seconds, "checks": checks}, ensure_ascii=False)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="python -m smoke",
        description="Check a running chat server from outside and leave nothing behind.",
        epilog="Example: python -m smoke --url http://127.0.0.1:8000. Where registration is closed, set SMOKE_USERNAME "
        "and SMOKE_PASSWORD. Exit codes: 0 green, 1 red, 2 wrong call.",
    )
    options.add_argument("--url", required=True, type=usable_url, help="address of the service")
    options.add_argument("--junit", type=Path, metavar="FILE", help="also write a JUnit XML report")
    options.add_argument("--json", action="store_true", help="one JSON object on stdout; people's text to stderr")
    return options


def main() -> int:
    """Run the suite as the command line says and return the exit code."""
    options = parser()
    arguments = options.parse_args()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # names go beyond any narrower locale
    people: TextIO = sys.stderr if arguments.json else sys.stdout
    try:
        given = account()
        if arguments.junit:
            arguments.junit.parent.mkdir(parents=True, exist_ok=True)
            arguments.junit.touch()
    except (ValueError, OSError) as fault:
        options.error(str(fault))

    def tell(check: Check) -> None:
        print(line(check, colour=people.isatty()), file=people, flush=True)

    try:
        verdict = run(arguments.url, account=given, junit=arguments.junit, tell=tell)
    except KeyboardInterrupt:
        print("smoke: interrupted", file=sys.stderr)
        return 130
    print(summary(verdict), file=people, flush=True)
    if arguments.json:
        print(as_json(verdict), flush=True)
    return 0 if verdict.green else 1


if __name__ == "__main__":
    sys.exit(main())
