"""The four rows of `opskit hotfix check`, on the very commit that `finish` would tag."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opskit import ci
from opskit.desk import Desk
from opskit.git import objects, worktrees
from opskit.git.objects import Signature
from opskit.hotfix import trial
from opskit.hotfix.changes import Changes, changed_lines, changes
from opskit.hotfix.trial import Trial
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
    """What the rows look at: the release repaired, the commit to be tagged, what lies between, and the tests' runs."""

    desk: Desk
    plan: Plan
    before: str
    changed: Changes
    wanted: Mapping[str, set[int]]  # the lines that tests must reach, by file
    trials: "_Trials | None"  # None without tests

    @property
    def after(self) -> str:
        return self.plan.gate


@dataclass(frozen=True, slots=True)
class _Trials:
    """The tests on the release repaired and with the fix; `missed` lines, None if that could not be measured."""

    before: Trial
    after: Trial
    missed: Mapping[str, list[int]] | None


def check(desk: Desk, plan: Plan) -> Checked:
    """Measure the four rows of the hotfix that *plan* would release, and note them in the ledger."""
    before = desk.git.text("rev-parse", "--verify", f"refs/tags/{plan.facts['previous']}^{{commit}}")
    changed = changes(desk.git, desk.config, before, plan.gate)
    paths = [name for name in changed.lines if desk.config.hotfix.coverage_command or name.endswith(".py")]
    wanted = {name: lines for name, lines in changed_lines(desk.git, before, plan.gate, paths).items() if lines}
    with desk.report.step("run the new tests without and with the fix"):
        trials = _try(desk, before, plan.gate, changed.tests, wanted) if changed.tests else None
    case = _Case(desk=desk, plan=plan, before=before, changed=changed, wanted=wanted, trials=trials)
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


def _try(desk: Desk, before: str, after: str, tests: Sequence[str], wanted: Mapping[str, set[int]]) -> _Trials:
    """Run the tests on the old tree with only the tests put onto it, and on the new one, there under coverage.

    Where tests of Python have data beside them, the data is put there too but not named to the command.
    """
    git, config = desk.git, desk.config.hotfix
    entries = git.text("--literal-pathspecs", "ls-tree", "-z", "-r", "--full-tree", after, "--", *tests)
    tests = [name for name in tests if name.endswith(".py")] or tests
    tree = objects.put_entries(git, before, entries)
    old = objects.commit(git, tree=tree, parents=[before], message="trial", signature=Signature(0))
    with tempfile.TemporaryDirectory(prefix="opskit-hotfix-") as folder:
        scratch = Path(folder)
        with worktrees.temporary(git, old) as there:
            first = trial.try_tests(config.test_command, tests, there.directory, scratch=scratch / "before")
        with worktrees.temporary(git, after) as here:
            place = here.directory
            env = {} if config.coverage_command else trial.measuring(scratch / "after", place)
            second = trial.try_tests(config.test_command, tests, place, scratch=scratch / "after", env=env)
            if config.coverage_command:
                missed = _missed_by_command(config.coverage_command, tests, place, scratch, wanted)
            else:
                missed = trial.missed_by_coverage(scratch / "after", place, wanted)
    return _Trials(first, second, missed)


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
    config, previous = case.desk.config.hotfix, case.plan.facts["previous"]
    if case.trials is None:
        return False, f"no test is new or changed under {', '.join(config.test_globs)}"
    before, after = case.trials.before, case.trials.after
    if before.not_run:
        return None, f"cannot be measured: {config.test_command!r} cannot be run here\n{before.log}".rstrip()
    if before.passed:
        return False, f"the tests pass on {previous} too: they do not show the fault"
    if not before.failed_by_tests:
        return False, f"the tests do not fail on {previous} but break off:\n{before.log}"
    if not after.passed:
        return False, f"the tests fail with the fix too:\n{after.log}"
    return True, f"{', '.join(case.changed.tests)}: red on {previous}, green here"


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
    if case.trials is None:
        return False, "no test is new or changed"
    if not case.wanted:
        return None, "cannot be measured: no line of Python changed, and no coverage_command is set"
    missed = case.trials.missed
    if missed is None:
        return None, "cannot be measured: test_command recorded nothing; does it run Python?"
    if missed:
        told = "; ".join(f"{name} lines {', '.join(map(str, lines))}" for name, lines in missed.items())
        return False, f"changed and never executed: {told}"
    return True, f"the tests execute all {sum(map(len, case.wanted.values()))} changed lines"


def _missed_by_command(
    command: str, tests: Sequence[str], directory: Path, scratch: Path, wanted: Mapping[str, set[int]]
) -> dict[str, list[int]] | None:
    log = scratch / "coverage.log"
    if ci.run_command(trial.fill(command, tests), directory, log=log, env=trial.environment(directory)):
        return None
    printed = log.read_text(encoding="utf-8", errors="replace").split()
    return trial.missed_by_cobertura(directory / printed[-1], wanted) if printed else None


_ROWS: tuple[tuple[str, Callable[[_Case], tuple[bool | None, str]]], ...] = (
    ("fixes the issue", _fixes),
    ("minimal", _minimal),
    ("no regressions", _no_regressions),
    ("test adequate", _adequate),
)
ROW_NAMES = tuple(name for name, _ in _ROWS)


def require_rows(desk: Desk, plan: Plan) -> Checked:
    """The rows of *plan*, measured now if this commit has none."""
    return known(desk, plan) or check(desk, plan)
