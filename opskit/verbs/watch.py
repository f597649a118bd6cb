"""`opskit watch`: looks at a target in service again and again, and tells people when something changes."""

import math
from typing import Annotated

import typer

from opskit.deploy.context import open_context
from opskit.errors import Exit, UsageFault
from opskit.report import Report
from opskit.verbs.options import JsonLines, Target

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def watch(
    *,
    target: Target = "",
    once: Annotated[bool, typer.Option("--once", help="Each check once: 0 all is well, 1 something is bad.")] = False,
    interval: Annotated[float, typer.Option("--interval", min=1, metavar="S", help="Seconds between rounds.")] = 15,
    smoke_interval: Annotated[
        float, typer.Option("--smoke-interval", min=1, metavar="S", help="Seconds between runs of smoke.")
    ] = 60,
    json: JsonLines = False,
) -> None:
    """Check health, crash rate, error rate and smoke of what runs, until Ctrl-C; a change is alerted once.

    Bad are: health that is no 2xx at three tries; three crashes in 10 minutes, or a crash loop; 5 % of the answers of
    the last 5 minutes 5xx, three at least (from the service's /metrics, else from own requests); a red smoke. Results
    go to the target's telemetry, alerts to the configured URLs with the commands that help. Nothing is rolled back.

    Example: opskit watch --once --json
    """
    from opskit.watch.rounds import Rounds

    for option, seconds in (("--interval", interval), ("--smoke-interval", smoke_interval)):
        if not math.isfinite(seconds):
            raise UsageFault(f"{option}: {seconds} is no number of seconds", remedy=f"{option} 15")
    report = Report(as_json=json)
    rounds = Rounds(open_context(report, target), report)
    if not once:
        rounds.forever(every_s=interval, smoke_every_s=smoke_interval)
    elif not rounds.once():
        raise typer.Exit(Exit.BAD)
