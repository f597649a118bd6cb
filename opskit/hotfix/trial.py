"""Running a hotfix's tests somewhere: what failed, and which lines they executed."""

import ast
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

from opskit.ci import run_command, tail

_NOT_RUN = (126, 127)  # the shell: not executable, not found
_FAILED_TESTS = 1  # pytest: tests were run and some failed; 2 to 5 are other reasons

# Starts coverage in every Python process of the test command, whatever starts it: the one installed there, else ours.
_STARTER = """\
import sys
try:
    import coverage
except ImportError:
    sys.path.append({fallback!r})
try:
    import coverage
except ImportError:
    pass
else:
    coverage.process_startup()
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the tests. `failures` is what pytest counted, None where it was not pytest."""

    code: int
    failures: int | None
    log: str

    @property
    def not_run(self) -> bool:
        """True if the command does not exist here."""
        return self.code in _NOT_RUN

    @property
    def passed(self) -> bool:
        """True if the tests ran and passed."""
        return self.code == 0

    @property
    def failed_by_tests(self) -> bool:
        """True if tests failed; with pytest an error at collection is none."""
        if self.failures is None:
            return self.code != 0 and not self.not_run
        return self.code == _FAILED_TESTS and self.failures > 0


def try_tests(
    command: str, tests: Sequence[str], directory: Path, *, scratch: Path, env: Mapping[str, str] | None = None
) -> Trial:
    """Run *command* with `{tests}` filled in, in a work tree whose own code comes first on Python's path."""
    scratch.mkdir(parents=True, exist_ok=True)
    report, log = scratch / "junit.xml", scratch / "log"
    report.unlink(missing_ok=True)
    ready = {
        **environment(directory),
        "PYTEST_ADDOPTS": f"{os.environ.get('PYTEST_ADDOPTS', '')} --junitxml={report} -p no:cacheprovider".strip(),
        **(env or {}),
    }
    code = run_command(fill(command, tests), directory, log=log, env=ready)
    return Trial(code, _failures(report), tail(log))


def fill(command: str, tests: Sequence[str]) -> str:
    """*command* with the test files in the place of `{tests}`, quoted for the shell."""
    return command.replace("{tests}", shlex.join(tests))


def environment(directory: Path) -> dict[str, str]:
    """Python finds the work tree's code before an installed copy, and opskit's own tools after everybody else's."""
    own = [str(place) for place in (directory / "src", directory) if place.is_dir()]
    path = os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH", "")])])
    tools = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    return {"PYTHONPATH": path, "PATH": tools, "PYTHONDONTWRITEBYTECODE": "1"}


def _failures(report: Path) -> int | None:
    try:
        root = ET.parse(report).getroot()  # noqa: S314 - written a moment ago by the project's own tests
    except (FileNotFoundError, ET.ParseError):
        return None
    return sum(int(suite.get("failures", 0)) for suite in root.iter("testsuite"))


def measuring(scratch: Path, directory: Path) -> dict[str, str]:
    """The environment in which every Python process writes down which lines of *directory* it executed."""
    starter = scratch / "starter"
    starter.mkdir(parents=True, exist_ok=True)
    fallback = scratch / "fallback"
    fallback.mkdir(exist_ok=True)
    (starter / "sitecustomize.py").write_text(_STARTER.format(fallback=str(fallback)), encoding="utf-8")
    own = find_spec("coverage")
    if own and own.origin:
        (fallback / "coverage").symlink_to(Path(own.origin).parent)
    settings = scratch / "coveragerc"
    settings.write_text(
        f"[run]\ndata_file = {scratch / 'data'}\nparallel = true\nsource = {directory}\n", encoding="utf-8"
    )
    paths = f"{starter}{os.pathsep}{environment(directory)['PYTHONPATH']}"
    return {"COVERAGE_PROCESS_START": str(settings), "PYTHONPATH": paths}


def missed_by_coverage(scratch: Path, directory: Path, wanted: Mapping[str, set[int]]) -> dict[str, list[int]] | None:
    """The lines in *wanted* that hold code and were not executed; None if nothing was measured."""
    if not list(scratch.glob("data*")):
        return None
    import coverage  # here: it is wanted by one row of one command

    measured = coverage.Coverage(data_file=str(scratch / "data"), config_file=False)
    measured.combine([str(scratch)])
    missed = {}
    for name, lines in wanted.items():
        file = directory / name
        _, statements, _, missing, _ = measured.analysis2(str(file))
        first = _first_lines(file.read_text(encoding="utf-8"))
        open_lines = sorted(
            line for line in lines if first.get(line, line) in missing and first.get(line, line) in statements
        )
        if open_lines:
            missed[name] = open_lines
    return missed


def _first_lines(source: str) -> dict[int, int]:
    """For each line inside a simple statement of several lines, the line it begins at."""
    first = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            first.update(dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), node.lineno))
    return first


def missed_by_cobertura(report: Path, wanted: Mapping[str, set[int]]) -> dict[str, list[int]] | None:
    """As `missed_by_coverage`, from a Cobertura file; None if it cannot be read. Files it does not name count whole."""
    try:
        root = ET.parse(report).getroot()  # noqa: S314 - written a moment ago by the project's own command
    except (OSError, ET.ParseError):
        return None
    hits: dict[str, dict[int, int]] = {}
    for part in root.iter("class"):
        lines = {int(line.get("number", 0)): int(line.get("hits", 0)) for line in part.iter("line")}
        hits.setdefault(part.get("filename", ""), {}).update(lines)
    missed = {}
    for name, lines_wanted in wanted.items():
        known = next(
            (found for path, found in hits.items() if path and (name.endswith(path) or path.endswith(name))), None
        )
        open_lines = [line for line in sorted(lines_wanted) if known is None or known.get(line, 1) == 0]
        if open_lines:
            missed[name] = open_lines
    return missed
