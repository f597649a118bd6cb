"""What a command prints: people's text and progress, or JSON for scripts; never both on stdout."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

SCHEMA = 1
_MARKS = {"done": ("✓", "32"), "failed": ("✗", "31"), "skipped": ("-", "2"), "warning": ("!", "33")}


class Report:
    """One command's output. Under `--json` stdout carries JSON only and people's text goes to stderr."""

    def __init__(self, *, as_json: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.as_json = as_json
        self._out = out or sys.stdout
        self._people = (err or sys.stderr) if as_json else self._out
        self._unread_is_fine = False

    def go_on_unread(self) -> None:
        """From here on a reader that goes away (`| head`) does not end the command: it is changing something."""
        self._unread_is_fine = True

    def say(self, text: str = "") -> None:
        """Print a line for people."""
        self._print(text, self._people)

    def warn(self, text: str) -> None:
        """Print a warning for people."""
        self.say(f"{self._mark('warning')} {text}")

    def result(self, **fields: Any) -> None:
        """Print the command's one JSON object; says nothing to people."""
        if self.as_json:
            self.line(schema=SCHEMA, **fields)

    def line(self, **fields: Any) -> None:
        """Print one JSON line, for commands that stream; says nothing to people."""
        if self.as_json:
            self._print(json.dumps(fields, ensure_ascii=False), self._out)

    @contextmanager
    def step(self, name: str) -> Iterator["Step"]:
        """Name a piece of work while it runs and print its outcome, with the time it took if over a second."""
        step = Step(name)
        live = self._people.isatty()
        if live:
            self._print(f"… {name}", self._people, end="\r")
        try:
            yield step
        except BaseException:
            step.status = "failed"
            raise
        finally:
            step.seconds = round(time.monotonic() - step.started, 3)
            took = f"  {step.seconds:.1f} s" if step.seconds >= 1 else ""
            detail = f": {step.detail}" if step.detail else ""
            clear = "\x1b[2K" if live else ""
            self.say(f"{clear}{self._mark(step.status)} {name}{detail}{took}")

    def _print(self, text: str, file: TextIO, *, end: str = "\n") -> None:
        try:
            print(text, file=file, end=end, flush=True)
        except BrokenPipeError:
            if not self._unread_is_fine:
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(nowhere, file.fileno())
            os.close(nowhere)

    def _mark(self, status: str) -> str:
        mark, colour = _MARKS[status]
        return f"\x1b[{colour}m{mark}\x1b[0m" if self._people.isatty() else mark


class Step:
    """A piece of work under way: set `detail` to say what it found, `status` to `skipped` or `warning`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = "done"
        self.detail = ""
        self.seconds = 0.0
        self.started = time.monotonic()

    def as_line(self) -> Mapping[str, Any]:
        """The JSON line of this step: `{step, status, seconds}`."""
        return {"step": self.name, "status": self.status, "seconds": self.seconds}
