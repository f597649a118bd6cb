"""What a command prints: people's text and progress, or JSON for scripts; never both on stdout."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from opskit.masking import masker

SCHEMA = 1
_MARKS = {"done": ("✓", "32"), "failed": ("✗", "31"), "skipped": ("-", "2"), "warning": ("!", "33")}


class Outlet:
    """Standard output or error that outlives its reader: an operation goes on when nobody reads it any more.

    What cannot be written is thrown away; `fault` is the first reason. Secrets are masked. The rest is the stream's.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._masked = masker()
        self.answered = False  # a JSON object that ends an answer is out
        self.fault: OSError | None = None

    def write(self, text: str) -> int:
        """As a stream's."""
        if self.fault is None:
            try:
                self._stream.write(self._masked(text))
            except OSError as fault:
                self._lose(fault)
        return len(text)

    def flush(self) -> None:
        """As a stream's."""
        if self.fault is None:
            try:
                self._stream.flush()
            except OSError as fault:
                self._lose(fault)

    def _lose(self, fault: OSError) -> None:
        self.fault = fault
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())  # what the stream still holds goes there, at exit too
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Report:
    """One command's output. Under `--json` stdout carries JSON only and people's text goes to stderr."""

    def __init__(self, *, as_json: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.as_json = as_json
        self._out = out or sys.stdout
        self._people = (err or sys.stderr) if as_json else self._out
        dumb = os.environ.get("TERM") == "dumb"
        self._live = self._people.isatty() and not dumb
        self._coloured = self._live and not os.environ.get("NO_COLOR")  # https://no-color.org
        self._pending = ""  # the name of a step under way, on a line of its own without an end

    @property
    def unheard(self) -> bool:
        """True once whoever read the output is gone."""
        return isinstance(self._out, Outlet) and self._out.fault is not None

    def say(self, text: str = "") -> None:
        """Print a line for people."""
        over = ""
        if self._pending:
            over = "\r" + " " * len(self._pending) + "\r"
            self._pending = ""
        print(f"{over}{text}", file=self._people, flush=True)

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
            print(json.dumps(fields, ensure_ascii=False), file=self._out, flush=True)
            if isinstance(self._out, Outlet) and "schema" in fields:
                self._out.answered = True

    @contextmanager
    def step(self, name: str) -> Iterator["Step"]:
        """Name a piece of work while it runs and print its outcome, with the time it took if over a second."""
        step = Step(name)
        if self._live:
            over = "\r" + " " * len(self._pending) + "\r" if self._pending else ""
            self._pending = f"… {name}"
            print(f"{over}{self._pending}", end="", file=self._people, flush=True)
        try:
            yield step
        except BaseException:
            step.status = "failed" if step.status == "done" else step.status
            raise
        finally:
            step.seconds = round(time.monotonic() - step.started, 3)
            took = f"  {step.seconds:.1f} s" if step.seconds >= 1 else ""
            detail = f": {step.detail}" if step.detail else ""
            self.say(f"{self._mark(step.status)} {name}{detail}{took}")

    def _mark(self, status: str) -> str:
        mark, colour = _MARKS[status]
        return f"\x1b[{colour}m{mark}\x1b[0m" if self._coloured else mark


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
