"""CI here: the configured steps in a clean work tree of one exact commit, and the verdict kept for its tree."""

import contextlib
import hashlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from opskit.config import Config
from opskit.errors import Bad, UsageFault
from opskit.git import worktrees
from opskit.git.runner import Git
from opskit.ledger import Ledger
from opskit.report import Report

_SHOWN_LINES = 20


@dataclass(frozen=True, slots=True)
class CiStep:
    """One step's outcome; `log` is the file with everything it printed."""

    name: str
    ok: bool
    seconds: float
    log: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What CI says of a tree; `cached` if it was known before."""

    sha: str
    tree: str
    verdict: str  # green | red
    cached: bool
    steps: tuple[CiStep, ...]

    @property
    def green(self) -> bool:
        """True if every step passed, or none is configured."""
        return self.verdict == "green"

    def as_json(self) -> dict[str, Any]:
        """As `opskit ci --json` prints it."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def or_raise(self) -> "Verdict":
        """Itself if green; raises `Bad` naming the step and its log."""
        if self.green:
            return self
        failed = next(step for step in self.steps if not step.ok)
        raise Bad(f"CI is red on {self.sha[:12]}: {failed.name} failed", remedy=f"see {failed.log}")


def run(git: Git, config: Config, revision: str, report: Report, *, fresh: bool = False) -> Verdict:
    """Run CI on *revision*, or return the green verdict its tree has; a red one is tried again.

    Every new verdict goes into the ledger. Raises `UsageFault` if *revision* is no commit.
    """
    sha, tree = resolve(git, revision)
    if not config.ci.steps:
        report.say("CI: no steps are configured (tool.opskit.ci), which counts as green")
        return Verdict(sha, tree, "green", cached=False, steps=())
    folder = git.common_dir / "opskit" / "ci" / _key(tree, config)
    known = None if fresh else _kept(folder)
    if known and known.green:
        report.say(f"CI: tree {tree[:12]} is known to be green")
        return replace(known, sha=sha, cached=True)
    verdict = _run_steps(git, config, sha, tree, folder, report)
    _keep(folder, verdict)
    steps = [{"name": step.name, "ok": step.ok, "seconds": step.seconds} for step in verdict.steps]
    data = {"sha": sha, "tree": tree, "verdict": verdict.verdict, "steps": steps}
    Ledger(git).append("ci", data, subject=f"ci {verdict.verdict}: {sha[:12]}")
    return verdict


def resolve(git: Git, revision: str) -> tuple[str, str]:
    """The ids of the commit *revision* and of its tree; raises `UsageFault` if it is no commit."""
    found = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", check=False)
    if found.code:
        raise UsageFault(f"{revision!r} is no commit here", remedy="name a branch, a tag or a commit id")
    sha = found.out.decode("ascii").strip()
    return sha, git.text("rev-parse", f"{sha}^{{tree}}")


def known_verdict(git: Git, config: Config, revision: str) -> Verdict | None:
    """The verdict kept for the tree of *revision* under the steps configured now; None if there is none."""
    tree = git.text("rev-parse", "--verify", "--end-of-options", f"{revision}^{{tree}}")
    return _kept(git.common_dir / "opskit" / "ci" / _key(tree, config))


def _run_steps(git: Git, config: Config, sha: str, tree: str, folder: Path, report: Report) -> Verdict:
    folder.mkdir(parents=True, exist_ok=True)
    done: list[CiStep] = []
    with worktrees.temporary(git, sha) as place:
        for name, command in config.ci.steps:
            with report.step(f"CI {name}") as shown:
                started = time.monotonic()
                log = folder / f"{name}.log"
                ok = run_command(command, place.directory, log=log) == 0
                done.append(CiStep(name, ok, round(time.monotonic() - started, 3), str(log)))
                shown.status = "done" if ok else "failed"
            if not ok:
                report.say(tail(log))
                break
    verdict = "green" if all(step.ok for step in done) else "red"
    return Verdict(sha, tree, verdict, cached=False, steps=tuple(done))


def run_command(command: str, directory: Path, *, log: Path, env: dict[str, str] | None = None) -> int:
    """Run a configured shell command with its output in *log* and return its exit code.

    It has a process group of its own, which is ended if opskit is interrupted.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        try:
            return process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):  # it ended in this very moment
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


def tail(log: Path) -> str:
    """The last lines of a log, indented for people."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_SHOWN_LINES:]
    return "\n".join(f"    {line}" for line in lines)


def _key(tree: str, config: Config) -> str:
    """A verdict holds for a tree and for the very commands that gave it."""
    return f"{tree}-{hashlib.sha256(repr(config.ci.steps).encode()).hexdigest()[:12]}"


def _kept(folder: Path) -> Verdict | None:
    try:
        return msgspec.json.decode((folder / "verdict.json").read_bytes(), type=Verdict)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _keep(folder: Path, verdict: Verdict) -> None:
    fresh = folder / "verdict.json.new"
    fresh.write_bytes(msgspec.json.encode(verdict))
    fresh.replace(folder / "verdict.json")
