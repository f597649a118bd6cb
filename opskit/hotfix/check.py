"""The four rows of `opskit hotfix check`, on the very commit that `finish` would tag."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opskit import ci
from opskit.desk import Desk
from opskit.git import objects, worktrees
from opskit.git.objects import Signature
from opskit.hotfix import trial
from opskit.hotfix.changes import Changes, changed_lines, changes
from opskit.release.plan import Plan

KIND = "hotfix_check"


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `ok` is None where it could not be measured."""

    name: str
    ok: bool | None
    detail: str

    def as_json(self) -> dict[str, Any]:
        """`{name, ok, detail}`."""
        return {"name": self.name, "ok": self.ok, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Checked:
    """The rows for one state of a hotfix branch: `sha` is its tip."""

    sha: str
    rows: tuple[Row, ...]

    @property
    def score(self) -> float:
        """10 × passed / measured; 0 if nothing could be measured."""
        measured = [row for row in self.rows if row.ok is not None]
        return round(10 * sum(bool(row.ok) for row in measured) / len(measured), 1) if measured else 0.0

    @property
    def failed(self) -> list[Row]:
        """The rows that were measured and are bad."""
        return [row for row in self.rows if row.ok is False]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What the rows look at: the release repaired, the commit to be tagged, and what lies between."""

    desk: Desk
    plan: Plan
    before: str
    changed: Changes
    scratch: Path

    @property
    def after(self) -> str:
        return self.plan.gate


def check(desk: Desk, plan: Plan) -> Checked:
    """Measure the four rows of the hotfix that *plan* would release, and note them in the ledger."""
    before = desk.git.text("rev-parse", "--verify", f"refs/tags/{plan.facts['previous']}^{{commit}}")
    changed = changes(desk.git, desk.config, before, plan.gate)
    with tempfile.TemporaryDirectory(prefix="opskit-hotfix-") as scratch:
        case = _Case(desk=desk, plan=plan, before=before, changed=changed, scratch=Path(scratch))
        rows = tuple(_measured(case, name, row) for name, row in _ROWS)
    checked = Checked(str(plan.facts["tip"]), rows)
    data = {
        "branch": plan.facts["branch"],
        "sha": checked.sha,
        "main": plan.facts["main"],
        "rows": [row.as_json() for row in rows],
        "score": checked.score,
    }
    desk.ledger.append(KIND, data, subject=f"hotfix check {plan.facts['branch']}: {checked.score:g} of 10")
    return checked


def known(desk: Desk, plan: Plan) -> Checked | None:
    """The rows noted for exactly this tip and this main, None if there are none."""
    for event in reversed(desk.ledger.read()):
        data = event.data
        if event.kind == KIND and (data["sha"], data["main"]) == (plan.facts["tip"], plan.facts["main"]):
            return Checked(data["sha"], tuple(Row(row["name"], row["ok"], row["detail"]) for row in data["rows"]))
    return None


def _measured(case: _Case, name: str, row: Callable[[_Case], tuple[bool | None, str]]) -> Row:
    with case.desk.report.step(name) as shown:
        ok, detail = row(case)
        shown.status = {True: "done", False: "failed", None: "skipped"}[ok]
        shown.detail = detail
    return Row(name, ok, detail)


def _fixes(case: _Case) -> tuple[bool | None, str]:
    """The new tests fail on what production runs and pass here."""
    tests, config = case.changed.tests, case.desk.config.hotfix
    if not tests:
        return False, f"no test is new or changed under {', '.join(config.test_globs)}"
    entries = case.desk.git.text("ls-tree", "-z", "-r", "--full-tree", case.after, "--", *tests)
    with_tests = objects.put_entries(case.desk.git, case.before, entries)
    trial_commit = objects.commit(
        case.desk.git, tree=with_tests, parents=[case.before], message="trial", signature=Signature(0)
    )
    with ExitStack() as stack:
        there = stack.enter_context(worktrees.temporary(case.desk.git, trial_commit))
        before = trial.try_tests(config.test_command, tests, there.directory, scratch=case.scratch / "before")
    if before.not_run:
        return None, f"cannot be measured: {config.test_command!r} cannot be run here\n{before.log}".rstrip()
    if before.passed:
        return False, f"the tests pass on {case.plan.facts['previous']} too: they do not show the fault"
    if not before.failed_by_tests:
        return False, f"the tests do not fail on {case.plan.facts['previous']} but break off:\n{before.log}"
    with worktrees.temporary(case.desk.git, case.after) as here:
        after = trial.try_tests(config.test_command, tests, here.directory, scratch=case.scratch / "after")
    if not after.passed:
        return False, f"the tests fail with the fix too:\n{after.log}"
    return True, f"{', '.join(tests)}: red on {case.plan.facts['previous']}, green here"


def _minimal(case: _Case) -> tuple[bool | None, str]:
    limit, changed = case.desk.config.hotfix.max_changed_lines, case.changed
    files = ", ".join(f"{name} {count}" for name, count in sorted(changed.lines.items())) or "no file"
    detail = f"{changed.total} of at most {limit} lines: {files}"
    if changed.binary:
        return False, f"{detail}; binary: {', '.join(changed.binary)}"
    return changed.total <= limit, detail


def _no_regressions(case: _Case) -> tuple[bool | None, str]:
    verdict = ci.run(case.desk.git, case.desk.config, case.after, case.desk.report)
    if not verdict.steps:
        return True, "no CI steps are configured (tool.opskit.ci), which counts as green"
    told = ", ".join(f"{step.name} {'passed' if step.ok else f'failed, see {step.log}'}" for step in verdict.steps)
    return verdict.green, f"CI {verdict.verdict}: {told}"


def _adequate(case: _Case) -> tuple[bool | None, str]:
    """The tests execute every changed line."""
    config, tests = case.desk.config.hotfix, case.changed.tests
    python = [name for name in case.changed.lines if name.endswith(".py")]
    paths = list(case.changed.lines) if config.coverage_command else python
    wanted = {
        name: lines for name, lines in changed_lines(case.desk.git, case.before, case.after, paths).items() if lines
    }
    if not tests:
        return False, "no test is new or changed"
    if not wanted:
        return None, "cannot be measured: no line of Python changed, and no coverage_command is set"
    with worktrees.temporary(case.desk.git, case.after) as here:
        missed = (_missed_by_command if config.coverage_command else _missed_by_package)(case, here.directory, wanted)
    if missed is None:
        return None, "cannot be measured: nothing was recorded; install coverage where test_command runs"
    count = sum(map(len, wanted.values()))
    if missed:
        told = "; ".join(f"{name} lines {', '.join(map(str, lines))}" for name, lines in missed.items())
        return False, f"changed and never executed: {told}"
    return True, f"the tests execute all {count} changed lines"


def _missed_by_package(case: _Case, directory: Path, wanted: dict[str, set[int]]) -> dict[str, list[int]] | None:
    place = case.scratch / "coverage"
    env = trial.measuring(place, directory)
    trial.try_tests(case.desk.config.hotfix.test_command, case.changed.tests, directory, scratch=place, env=env)
    return trial.missed_by_coverage(place, directory, wanted)


def _missed_by_command(case: _Case, directory: Path, wanted: dict[str, set[int]]) -> dict[str, list[int]] | None:
    log = case.scratch / "coverage.log"
    command = trial.fill(case.desk.config.hotfix.coverage_command, case.changed.tests)
    if ci.run_command(command, directory, log=log, env=trial.environment(directory)):
        return None
    printed = log.read_text(encoding="utf-8", errors="replace").split()
    return trial.missed_by_cobertura(directory / printed[-1], wanted) if printed else None


_ROWS: tuple[tuple[str, Callable[[_Case], tuple[bool | None, str]]], ...] = (
    ("fixes the issue", _fixes),
    ("minimal", _minimal),
    ("no regressions", _no_regressions),
    ("test adequate", _adequate),
)


def require_rows(desk: Desk, plan: Plan) -> Checked:
    """The rows of *plan*, measured now if this commit has none."""
    return known(desk, plan) or check(desk, plan)
