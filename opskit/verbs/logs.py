"""`opskit logs`: what the service printed."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from opskit.deploy.context import open_context
from opskit.errors import Refused
from opskit.report import Report
from opskit.verbs.options import JsonLines, Target

app = typer.Typer(rich_markup_mode=None, add_completion=False)

POLL_S = 0.2
CHUNK_BYTES = 1 << 16


@app.command()
def logs(
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines come, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the newest lines first.")] = 100,
    target: Target = "",
    json: JsonLines = False,
) -> None:
    """Print the newest lines of the service's log.

    Example: opskit logs -f
    """
    report = Report(as_json=json)
    context = open_context(report, target)
    path = context.layout.logs / "service.log"
    if not path.exists():
        if not follow:
            raise Refused(
                f"target {context.name} has no log yet ({path})", remedy=f"opskit deploy --target {context.name}"
            )
        print(f"target {context.name} has no log yet; waiting for {path}", file=sys.stderr)

    def show(line: bytes) -> None:
        text = line.decode("utf-8", "replace")
        if json:
            report.line(line=text)
        else:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    tail = Tail(path)
    for line in tail.last(lines):
        show(line)
    while follow and not report.unheard:
        for line in tail.fresh():
            show(line)
        time.sleep(POLL_S)


class Tail:
    """Reads a log from its newest lines on, also across its rotation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self._inode = 0
        self._rest = b""

    def last(self, count: int) -> list[bytes]:
        """The newest *count* whole lines; reading goes on behind them."""
        try:
            with self.path.open("rb") as file:
                self._inode = os.fstat(file.fileno()).st_ino
                end = file.seek(0, os.SEEK_END)
                data, at = b"", end
                while at > 0 and data.count(b"\n") <= count:
                    at = max(0, at - CHUNK_BYTES)
                    file.seek(at)
                    data = file.read(end - at)
        except FileNotFoundError:
            return []
        self._at = end
        complete, _, self._rest = data.rpartition(b"\n")
        return complete.split(b"\n")[-count:] if complete and count else []

    def fresh(self) -> list[bytes]:
        """The whole lines that came since."""
        try:
            with self.path.open("rb") as file:
                about = os.fstat(file.fileno())
                if about.st_ino != self._inode or about.st_size < self._at:
                    self._at, self._inode, self._rest = 0, about.st_ino, b""
                file.seek(self._at)
                data = file.read()
                self._at = file.tell()
        except FileNotFoundError:
            return []
        *complete, self._rest = (self._rest + data).split(b"\n")
        return complete
