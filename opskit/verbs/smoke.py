"""`opskit smoke`: the smoke suite, run as a program of its own against a URL or a target."""

import json as json_format
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from opskit.deploy.context import open_context
from opskit.deploy.control import Control
from opskit.errors import Bad, Exit, OpskitError, Refused, UsageFault
from opskit.report import Report
from opskit.verbs.options import Json, Target, not_empty

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def smoke(
    *,
    url: Annotated[str, typer.Option("--url", metavar="URL", callback=not_empty, help="The service to check.")] = "",
    target: Target = "",
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit XML.")] = None,
    json: Json = False,
) -> None:
    """Check a running service from outside, names in many scripts included; it leaves nothing behind.

    SMOKE_USERNAME and SMOKE_PASSWORD name an account where registration is closed.

    Example: opskit smoke --url http://127.0.0.1:8000
    """
    if url and target:
        raise UsageFault("--url and --target are two ways to say the same thing", remedy="use one of them")
    address = url or address_of(target)
    extra = ["--junit", str(junit)] if junit else []
    # -P: the suite that came with this opskit, not a directory of that name in the caller's repository
    command = [sys.executable, "-P", "-m", "smoke", "--url", address, *extra]
    if not json:
        code = subprocess.run(command, check=False).returncode
        raise typer.Exit(code if code >= 0 else Exit.INTERRUPTED)
    done = subprocess.run([*command, "--json"], check=False, stdout=subprocess.PIPE, text=True)
    try:
        result = json_format.loads(done.stdout)
    except ValueError:
        raise _fault(done.returncode) from None
    sys.stdout.write(done.stdout)
    raise typer.Exit(Exit.BAD if result.get("failed") else done.returncode)


def address_of(target: str) -> str:
    """Where the service on *target* (default: the only one) is reached; raises `Refused` if it does not run."""
    context = open_context(Report(as_json=True), target)
    control = Control(context.layout.state_dir)
    if not control.alive():
        raise Refused(f"target {context.name} does not run", remedy="opskit start; or name a service with --url")
    url: str = control.status().public_url
    return url


def _fault(code: int) -> OpskitError:
    if code == Exit.USAGE:
        return UsageFault("the smoke suite refused the call; see above", remedy="opskit smoke --help")
    return Bad(f"the smoke suite ended with exit code {code} and no result", remedy="run it without --json")
