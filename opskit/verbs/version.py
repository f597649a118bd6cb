"""`opskit version`: what is current, what comes next and why."""

from pathlib import Path
from typing import Annotated

import typer

from opskit.config import load
from opskit.git.runner import Git
from opskit.release.outlook import read_outlook
from opskit.report import Report
from opskit.verbs.options import Json

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Why = Annotated[bool, typer.Option("--why", help="Name the commits that ask for the next version.")]


@app.command()
def version(*, why: Why = False, json: Json = False) -> None:
    """Print the current version and the one that releasing now would give, without the tag's prefix.

    Example: opskit version --why
    """
    report = Report(as_json=json)
    git = Git.discover(Path.cwd(), bare=True)
    outlook = read_outlook(git, load(git.directory))
    following, newest = outlook.next, outlook.current
    if following.version is None:
        report.say(f"{newest.version if newest else 'no version'}; nothing to release")
    elif newest is None:
        report.say(f"no version yet → {following.version}")
    else:
        report.say(f"{newest.version} → {following.version} ({following.bump})")
    if why:
        because = set(following.because)
        for commit in outlook.history.commits:
            if commit.sha in because:
                report.say(f"  {commit.sha[:10]} {' '.join(commit.subject.split())}")
    report.result(
        current=str(newest.version) if newest else None,
        next=str(following.version) if following.version else None,
        bump=str(following.bump),
        because=list(following.because),
    )
