"""`python -m loadtests --url URL`: a load test; exit 0 if every threshold holds, 1 if one is missed, 2 wrong call."""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from loadtests.result import SETUP
from loadtests.shapes import SHAPES
from loadtests.thresholds import LIMITS, limits_with

HERE = Path(__file__).resolve().parent
SHOWN = ("connect", "ack", "send→hear", "resume", "lost", "http")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="python -m loadtests",
        description="Put load on a running chat server and judge its answers.",
        epilog="Example: python -m loadtests --url http://127.0.0.1:8000 --shape unicode",
    )
    options.add_argument("--url", required=True, type=_url, help="address of the service")
    options.add_argument("--users", type=_positive(int), default=50, help="users at the peak (50)")
    options.add_argument("--duration", type=_positive(float), default=60.0, metavar="S", help="seconds (60)")
    options.add_argument("--shape", choices=list(SHAPES), default="steady", help="shape of the load (steady)")
    options.add_argument("--shapes", action=_Shapes, nargs=0, help="list the shapes")
    options.add_argument("--threshold", action="append", default=[], metavar="NAME=VALUE", help=", ".join(LIMITS))
    options.add_argument("--processes", type=_positive(int), default=1, help="Locust workers on this machine (1)")
    options.add_argument("--out", type=Path, metavar="DIR", help="where the HTML page and the CSV files go")
    options.add_argument("--json", action="store_true", help="one JSON object on stdout; people's text to stderr")
    return options


class _Shapes(argparse.Action):
    """Like --help: prints and leaves."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        for name, shape in SHAPES.items():
            print(f"{name:16} {shape.about}")
        parser.exit()


def main() -> int:
    """Run Locust as the command line says and return the exit code."""
    options = parser()
    arguments = options.parse_args()
    try:
        limits_with(arguments.threshold)
    except ValueError as fault:
        options.error(str(fault))
    if find_spec("locust") is None:
        options.error("Locust is not installed: pip install 'opskit[loadtest]'")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    out: Path = arguments.out or Path("bench-results") / f"loadtest-{stamp}-{arguments.shape}"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        options.error(f"cannot write to {out}: {fault.strerror}")
    people = sys.stderr if arguments.json else sys.stdout
    print(
        f"loadtest: {arguments.shape}, {arguments.users} users, {arguments.duration:g} s at {arguments.url}",
        file=people,
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="loadtest-") as scratch:
        result_file = Path(scratch) / "result.json"
        log = out / "locust.log"
        progress = os.dup(people.fileno())  # Locust's own output goes to the log
        code = _locust(arguments, out=out, result_file=result_file, log=log, progress=progress)
        os.close(progress)
        result: dict[str, Any] | None = json.loads(result_file.read_text("utf-8")) if result_file.exists() else None
    if result is None:
        print(f"loadtest: Locust ended with exit code {code} and no result; see {log}", file=sys.stderr)
        return 130 if code == 130 else 1
    result["html"], result["csv"] = str(out / "report.html"), sorted(str(path) for path in out.glob("*.csv"))
    for line in summary(result):
        print(line, file=people)
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False))
    return 0 if result["passed"] else 1


def _locust(arguments: argparse.Namespace, *, out: Path, result_file: Path, log: Path, progress: int) -> int:
    command = [
        *(
            sys.executable,
            "-P",
            "-m",
            "locust",
            "--locustfile",
            str(HERE / "locustfile.py"),
            "--headless",
            "--only-summary",
        ),
        *("--host", arguments.url, "--html", str(out / "report.html"), "--csv", str(out / "stats")),
        *("--shape", arguments.shape, "--people", str(arguments.users), "--seconds", str(arguments.duration)),
        *("--result", str(result_file), "--stop-timeout", "10", "--progress", str(progress)),
        *(part for one in arguments.threshold for part in ("--threshold", one)),
        *(_forked(arguments.processes) if arguments.processes > 1 else ()),
    ]
    with (
        log.open("wb") as sink,
        subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, pass_fds=[progress]) as locust,
    ):
        try:
            return locust.wait()
        except KeyboardInterrupt:  # Locust got it too, and stops in order
            locust.wait()
            return 130


def _forked(processes: int) -> tuple[str, ...]:
    """Workers that speak with their master over loopback; Locust's own port, on every interface, may be taken."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    master = ("--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port)
    return ("--processes", str(processes), "--workers", str(processes), *master)


def summary(result: dict[str, Any]) -> list[str]:
    """The result for people: what was measured, then each threshold, then the verdict with its reasons."""
    failed_setup = [error["error"] for error in result["errors"] if error["name"] == SETUP]
    if failed_setup:
        return [f"loadtest: MISSED: no accounts and rooms could be made: {failed_setup[0]}"]
    lines = [f"{'':14}{'count':>9}{'per s':>9}{'failed':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'max ms':>10}"]
    for name in SHOWN:
        if row := result["stats"].get(name):
            times = f"{row['p50_ms']:>9.0f}{row['p95_ms']:>9.0f}{row['p99_ms']:>9.0f}{row['max_ms']:>10.0f}"
            lines.append(f"{name:14}{row['count']:>9}{row['per_s']:>9.1f}{row['failures']:>8}{times}")
    missed = []
    for one in result["thresholds"]:
        seen = "nothing measured" if one["seen"] is None else f"{one['seen']:g}"
        lines.append(f"{'✓' if one['ok'] else '✗'} {one['name']}: {seen}, limit {one['limit']:g}")
        missed += [] if one["ok"] else [f"{one['name']} ({seen}, limit {one['limit']:g})"]
    lines += [f"  {error['count']} × {error['name']}: {error['error']}" for error in result["errors"][:5]]
    lines += [f"! {warning}" for warning in result["warnings"]]
    verdict = "passed" if result["passed"] else f"MISSED: {', '.join(missed)}"
    return [*lines, f"loadtest: {verdict}", f"report: {result['html']}, and {len(result['csv'])} CSV files beside it"]


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not the address of a service, such as http://127.0.0.1:8000")
    return text.rstrip("/")


def _positive(kind: type[int] | type[float]) -> Any:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
        return value

    return read


if __name__ == "__main__":
    sys.exit(main())
