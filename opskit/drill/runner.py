"""Runs the steps of a drill: each a command with a check of what came of it; the first that fails ends the drill."""

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from opskit.drill.sandbox import Ran, Sandbox
from opskit.errors import OpskitError
from opskit.incident.record import incidents
from opskit.moments import in_words
from opskit.report import Report

HEAD_LINES, TAIL_LINES, WIDTH = 5, 8, 150
_GROUPS = ("actions", "hotfix", "incident")


class Unmet(Exception):
    """A check's verdict: what was expected, and what was seen."""

    def __init__(self, expected: str, seen: object) -> None:
        super().__init__(f"expected {expected}; saw {seen or 'nothing'}")


Check = Callable[[Sandbox], str]


def no_check(_: Sandbox) -> str:
    """For a command whose exit code says all."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is to be achieved, the command that does it, the exit code it has then, and how to tell from outside.

    The check returns what it saw, in a few words, or raises `Unmet`. *others*: it happens, nobody practises it.
    """

    goal: str
    command: str
    check: Check = no_check
    code: int = 0
    others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A story to rehearse; *title* is its one line, *before* the patches on develop when it begins."""

    name: str
    title: str
    steps: Sequence[Step]
    before: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A step as it went."""

    step: Step
    ok: bool
    seconds: float
    detail: str

    def as_line(self) -> Mapping[str, Any]:
        """The JSON line of this step."""
        told = {"step": self.step.goal, "command": self.step.command, "ok": self.ok}
        return {**told, "seconds": round(self.seconds, 3), "detail": self.detail}


def run(scenario: Scenario, place: Sandbox, report: Report, *, practice: bool) -> list[Done]:
    """Carry the steps out in order, each told as it ends; the last of the list has failed if not all went well."""
    done: list[Done] = []
    for number, step in enumerate(scenario.steps, start=1):
        report.say(f"\n{number}/{len(scenario.steps)} {step.goal}")
        act = _practised if practice and not step.others else _rehearsed
        done.append(act(step, place, report))
        report.line(**done[-1].as_line())
        if not done[-1].ok:
            break
    return done


def _rehearsed(step: Step, place: Sandbox, report: Report) -> Done:
    """Run the step's own command, and show what it said, shortened."""
    report.say(f"$ {step.command}")
    began = time.monotonic()
    ran = place.run(step.command)
    for line in shortened(ran.output):
        report.say(f"    {line}")
    return _told(judged(step, ran, place, began_s=began), report)


def _practised(step: Step, place: Sandbox, report: Report) -> Done:
    """Have a person type commands until the check passes; `hint` shows the command, `skip` runs it."""
    report.say(f"in {place.clone}; hint, skip, or Ctrl-C")
    while True:
        typed = _typed()
        began = time.monotonic()
        if typed == "skip":
            return _rehearsed(step, place, report)
        if typed == "hint":
            report.say(f"  {step.command}")
            continue
        if not typed:
            continue
        ran = place.run(typed, on_terminal=True)
        if not resembles(typed, step.command):
            continue
        done = judged(step, ran, place, began_s=began)
        if done.ok:
            return _told(done, report)
        report.say(f"not yet: {done.detail}")


def _typed() -> str:
    print("drill$ ", end="", file=sys.stderr, flush=True)
    try:
        return input().strip()
    except EOFError:
        print(file=sys.stderr)
        raise typer.Abort from None


def resembles(typed: str, command: str) -> bool:
    """True if both call the same program, and the same verb of opskit: only then is a step judged."""
    try:
        mine, wanted = shlex.split(typed), shlex.split(command)
    except ValueError:
        return False
    length = 2 if wanted[0] == "opskit" else 1
    return mine[:length] == wanted[:length]


def judged(step: Step, ran: Ran, place: Sandbox, *, began_s: float) -> Done:
    """Whether the step is done: its exit code, then its check."""
    try:
        if ran.code != step.code:
            raise Unmet(f"exit code {step.code}", f"exit code {ran.code}")
        ok, detail = True, step.check(place)
    except (Unmet, OpskitError) as fault:
        ok, detail = False, str(fault)
    return Done(step=step, ok=ok, seconds=time.monotonic() - began_s, detail=detail)


def _told(done: Done, report: Report) -> Done:
    report.say(f"{'✓' if done.ok else '✗'} {done.detail or 'done'}  {done.seconds:.1f} s")
    return done


def shortened(output: str) -> list[str]:
    """The first and the last lines of what a command printed, each cut to a terminal's width."""
    lines = [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in output.splitlines() if line.strip()]
    left_out = len(lines) - HEAD_LINES - TAIL_LINES
    if left_out <= 1:
        return lines
    return [*lines[:HEAD_LINES], f"… {left_out} more lines …", *lines[-TAIL_LINES:]]


def summary(place: Sandbox, done: Sequence[Done]) -> dict[str, Any]:
    """What the drill came to: releases, incidents with their time to recovery, what was practised."""
    return {
        "releases": place.remote.lines("tag", "--list", "--sort=creatordate"),
        "incidents": [
            {"id": one.name, "severity": one.severity, "state": one.state, "decision": one.decision or None,
             "recovered_s": one.recovered_s()}
            for one in incidents(place.events)
        ],
        "practised": list(dict.fromkeys(verb for one in done if (verb := _verb(one.step.command)))),
    }  # fmt: skip


def summary_lines(found: Mapping[str, Any]) -> list[str]:
    """The same for people."""
    lines = [f"releases   {', '.join(found['releases']) or 'none'}"]
    for one in found["incidents"]:
        recovered = "not recovered" if one["recovered_s"] is None else f"recovered in {in_words(one['recovered_s'])}"
        lines.append(f"incident   {one['id']} {one['severity']} {one['state']}, {one['decision']}, {recovered}")
    return [*lines, f"practised  {', '.join(found['practised'])}"]


def _verb(command: str) -> str:
    """The verb of opskit that a command calls (`hotfix start`), "" for another program."""
    program, *words = shlex.split(command)
    return " ".join(words[: 2 if words[0] in _GROUPS else 1]) if program == "opskit" else ""
