"""What `opskit doctor` looks at: one small check each, facts in and findings out."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opskit.config import Config, load
from opskit.errors import OpskitError
from opskit.git import refs
from opskit.git.refs import BRANCH
from opskit.git.remote import Remote
from opskit.git.runner import Git
from opskit.journal import Journal
from opskit.ledger import Ledger
from opskit.release.plan_world import remote_of
from opskit.transaction import title_of

_CLOCK_TOLERANCE_S = 300


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `remedy` is what mends it if it is not `ok`."""

    check: str
    ok: bool
    detail: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """`{check, ok, detail, remedy}`."""
        return {"check": self.check, "ok": self.ok, "detail": self.detail, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class Patient:
    """The repository looked at and its configuration."""

    git: Git
    config: Config


Check = Callable[[Patient], Iterator[Finding]]


def examine(start: Path, checks: tuple[Check, ...]) -> list[Finding]:
    """Python, git, configuration, then every check; a check that fails is a finding too."""
    version = ".".join(map(str, sys.version_info[:3]))
    findings = [Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")]
    try:
        git = Git.discover(start)
        findings.append(Finding("git", True, git.version))
    except OpskitError as fault:
        return [*findings, Finding("git", False, str(fault), fault.remedy)]
    try:
        patient = Patient(git, load(git.directory))
        where = patient.config.source or "none: defaults (opskit init writes one)"
        findings.append(Finding("configuration", True, where))
    except OpskitError as fault:
        return [*findings, Finding("configuration", False, str(fault), fault.remedy)]
    for check in checks:
        try:
            findings += check(patient)
        except OpskitError as fault:
            findings.append(Finding(check.__name__, False, str(fault), fault.remedy))
    return findings


def identity(patient: Patient) -> Iterator[Finding]:
    """Does git know who commits?"""
    output = patient.git.run("var", "GIT_COMMITTER_IDENT", check=False)
    name = output.out.decode("utf-8", "replace").rsplit(" ", 2)[0]
    yield Finding("identity", output.code == 0, name or output.reason, "git config user.name NAME, and user.email")


def history(patient: Patient) -> Iterator[Finding]:
    """Is the whole history here?"""
    shallow = patient.git.text("rev-parse", "--is-shallow-repository") == "true"
    detail = "a shallow clone: which release a commit belongs to cannot be told" if shallow else "whole"
    yield Finding("history", not shallow, detail, "git fetch --unshallow --tags")


def branches(patient: Patient) -> Iterator[Finding]:
    """Are main and develop there, and does develop contain main?"""
    git, config = patient.git, patient.config
    there = refs.read(git, BRANCH, "refs/remotes/")
    tips = {}
    for key, name in (("main", config.main), ("develop", config.develop)):
        if name:
            found = there.get(BRANCH + name) or there.get(f"refs/remotes/{config.remote}/{name}")
            tips[key] = found.commit if found else ""
            detail = f"{name} is at {found.commit[:12]}" if found else f"there is no branch {name!r}"
            yield Finding(key, found is not None, detail, f"create it, or set tool.opskit.{key}")
    shallow = git.text("rev-parse", "--is-shallow-repository") == "true"
    if shallow or not all(tips.get(key) for key in ("main", "develop")):
        return
    missing = git.lines("log", "--format=%h %s", "--no-merges", f"{tips['develop']}..{tips['main']}", "--")
    shown = "; ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
    detail = (
        f"{config.develop} lacks {len(missing)} commits of {config.main}: {shown}" if missing else "nothing is missing"
    )
    yield Finding("back-merge", not missing, detail, f"git checkout {config.develop} && git merge {config.main}")


def remote(patient: Patient) -> Iterator[Finding]:
    """Can the remote be reached?"""
    name = remote_of(patient.git, patient.config)
    if not name:
        yield Finding("remote", True, "none: releases stay here")
        return
    count = len(Remote(patient.git, name).refs())
    yield Finding("remote", True, f"{name} answers, {count} references")


def operation(patient: Patient) -> Iterator[Finding]:
    """Is a release or a hotfix half-done?"""
    under_way = Journal(patient.git.common_dir / "opskit").read()
    verb = title_of(under_way) if under_way else ""
    detail = f"opskit {verb} is half-done" if verb else "nothing is half-done"
    yield Finding("operation", not verb, detail, f"opskit {verb} --continue, or --abort" if verb else "")


def ledger(patient: Patient) -> Iterator[Finding]:
    """Is the ledger's chain sound?"""
    faults = Ledger(patient.git).verify()
    yield Finding("ledger", not faults, "; ".join(faults) or "sound", "git log refs/opskit/ledger")


def clock(patient: Patient) -> Iterator[Finding]:
    """Is the clock behind the newest commit?"""
    newest = patient.git.text("for-each-ref", "--sort=-committerdate", "--count=1", "--format=%(committerdate:unix)")
    behind_s = int(newest or 0) - time.time()
    ok = behind_s < _CLOCK_TOLERANCE_S
    detail = "not behind the newest commit" if ok else f"{behind_s / 60:.0f} minutes behind the newest commit"
    yield Finding("clock", ok, detail, "set the clock: timedatectl set-ntp true")


RELEASE_CHECKS: tuple[Check, ...] = (identity, history, branches, remote, operation, ledger, clock)
