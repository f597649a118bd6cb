"""`opskit loadtest`: load in a named shape, with Locust as a program of its own, and thresholds that fail it."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from opskit.errors import Bad, Exit, OpskitError, Refused, UsageFault
from opskit.report import Report
from opskit.verbs.options import Json, Target, not_empty
from opskit.verbs.smoke import address_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def loadtest(
    *,
    url: Annotated[str, typer.Option("--url", metavar="URL", callback=not_empty, help="The service to load.")] = "",
    target: Target = "",
    users: Annotated[int, typer.Option("--users", "-u", min=1, help="Users at the peak.")] = 50,
    duration: Annotated[float, typer.Option("--duration", "-d", metavar="S", min=1, help="Seconds.")] = 60,
    shape: Annotated[str, typer.Option("--shape", metavar="NAME", help="`--shape list` names them.")] = "steady",
    threshold: Annotated[list[str] | None, typer.Option("--threshold", metavar="NAME=VALUE", help="A limit.")] = None,
    processes: Annotated[int, typer.Option("--processes", min=1, help="Locust workers on this machine.")] = 1,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where HTML and CSV go.")] = None,
    json: Json = False,
) -> None:
    """Put load on a running service; a missed threshold is exit code 1.

    Needs the extra: pip install 'opskit[loadtest]'. It registers accounts of its own and removes them again.

    Example: opskit loadtest --url http://127.0.0.1:8000 --users 100 --duration 60 --shape unicode
    """
    if url and target:
        raise UsageFault("--url and --target are two ways to say the same thing", remedy="use one of them")
    if shape == "list":
        _list_shapes(Report(as_json=json))
        return
    address = url or address_of(target)
    command = ["--url", address, "--users", str(users), "--duration", f"{duration:g}", "--shape", shape]
    command += [*(part for one in threshold or () for part in ("--threshold", one)), "--processes", str(processes)]
    command += [*(("--out", str(out)) if out else ()), *(("--json",) if json else ())]
    done = subprocess.run([*_LOADTESTS, *command], check=False, stdout=subprocess.PIPE if json else None, text=True)
    code = done.returncode if done.returncode >= 0 else Exit.INTERRUPTED
    if json and not done.stdout.strip():  # it said on stderr what keeps it from running
        raise _FAULTS.get(code, Bad)(
            f"the load test gave no result (exit code {code}); see above", remedy="opskit loadtest --help"
        )
    sys.stdout.write(done.stdout or "")
    raise typer.Exit(code)


# -P: the load tests that came with this opskit, not a directory of that name in the caller's repository
_LOADTESTS = (sys.executable, "-P", "-m", "loadtests")
_FAULTS: dict[int, type[OpskitError]] = {Exit.USAGE: UsageFault, Exit.REFUSED: Refused}


def _list_shapes(report: Report) -> None:
    listed = subprocess.run([*_LOADTESTS, "--shapes"], check=False, stdout=subprocess.PIPE, text=True).stdout
    report.say(listed.rstrip())
    report.result(shapes=[line.split()[0] for line in listed.splitlines() if line.strip()])
