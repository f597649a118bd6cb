"""Runs the checks through pytest, walled off from the caller's configuration, plugins and output."""

import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from smoke.expect import CheckFailed, Unreachable
from smoke.visit import Visit

HERE = Path(__file__).resolve().parent
# In this order: what needs a password hash is under way meanwhile, and looked at late.
MODULES = ("service", "handshake", "rooms", "messages", "conversation", "accounts", "farewell")
BUDGET_S = 60.0  # for the whole suite against a service that hangs; a healthy one needs under 5 s


@dataclass(frozen=True, slots=True)
class Check:
    """One check's outcome; `detail` says what was expected and seen if it is not `ok`."""

    name: str
    ok: bool
    ms: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a whole run."""

    url: str
    checks: tuple[Check, ...]
    seconds: float

    @property
    def passed(self) -> int:
        """How many checks are green."""
        return sum(check.ok for check in self.checks)

    @property
    def failed(self) -> int:
        """How many checks are red."""
        return len(self.checks) - self.passed

    @property
    def green(self) -> bool:
        """True if something was checked and all of it is as it should be."""
        return bool(self.checks) and not self.failed


@dataclass(slots=True, eq=False)
class Recorder:
    """The pytest plugin that hands the checks their visit and keeps what became of each."""

    visit: Visit
    tell: Callable[[Check], None]
    interrupted: bool = False
    started_s: float = field(default_factory=time.monotonic)
    checks: list[Check] = field(default_factory=list)
    _faults: dict[str, str] = field(default_factory=dict)
    _spent_s: dict[str, float] = field(default_factory=dict)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """A signal: the check under way ends first, lest the service has made something that we do not know of."""
        if self.interrupted:
            signal.default_int_handler(number, frame)
        self.interrupted = True

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out what needs two accounts if there is only one."""
        if self.visit.single:
            items[:] = [item for item in items if not item.get_closest_marker("two_accounts")]

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Keep a service that hangs from holding a deploy for ever."""
        if time.monotonic() - self.started_s > BUDGET_S and item.path.name != "test_farewell.py":
            raise CheckFailed(f"not run: the suite's {BUDGET_S:g} s are over")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note time and outcome of each phase; the check is told when its last phase is over."""
        report = yield
        self._spent_s[item.nodeid] = self._spent_s.get(item.nodeid, 0.0) + call.duration
        if report.failed and call.excinfo is not None:
            self._faults.setdefault(item.nodeid, _sentence(call.excinfo.value))
            if isinstance(call.excinfo.value, Unreachable):
                item.session.shouldstop = "there is no service to check"
        if call.when == "teardown":
            self._finish(title(item), item.nodeid)
            if self.interrupted:
                item.session.shouldstop = "interrupted"
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A check that cannot even be read is a red one."""
        if report.failed:
            lines = str(report.longrepr).strip().splitlines() or ["no reason given"]
            self._record(Check(f"the suite's file {report.nodeid}", False, 0, lines[-1]))

    def _finish(self, name: str, nodeid: str) -> None:
        fault = self._faults.get(nodeid)
        self._record(Check(name, fault is None, round(self._spent_s[nodeid] * 1000), fault or ""))

    def _record(self, check: Check) -> None:
        self.checks.append(check)
        self.tell(check)


def title(item: Any) -> str:
    """The check's name: the first line of its docstring, with the parameter's id if it has one."""
    sentence = (item.function.__doc__ or item.originalname.removeprefix("test_").replace("_", " ")).strip()
    name = sentence.partition("\n")[0].rstrip(".")
    return f"{name}: {item.callspec.id}" if hasattr(item, "callspec") else name


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, CheckFailed) else f"{type(error).__name__}: {error}"


def run(
    url: str, *, account: tuple[str, str] | None = None, junit: Path | None = None, tell: Callable[[Check], None]
) -> Verdict:
    """Run every check against the service at *url*; *tell* hears of each as it ends.

    With *account* (name, password) nothing is registered. *junit* also gets a JUnit XML report.
    For the main thread: SIGINT and SIGTERM end the run after the check under way and the removal of what was made; then
    `KeyboardInterrupt` is raised.
    """
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    visit = Visit(url, account=account)
    recorder = Recorder(visit, tell)
    arguments = [
        *("-c", str(HERE / "suite.ini"), "--rootdir", str(HERE), "--confcutdir", str(HERE / "checks")),
        *("-p", "no:cacheprovider", "-p", "no:terminal", "--assert=plain", "--import-mode=importlib"),
        *([f"--junitxml={junit.absolute()}", "-o", "junit_suite_name=smoke"] if junit else []),
        *(str(HERE / "checks" / f"test_{module}.py") for module in MODULES),
    ]
    sys.dont_write_bytecode = True  # a release's files stay as they were built
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, recorder.interrupt)
    code = pytest.main(arguments, plugins=[recorder])
    visit.leave()
    if recorder.interrupted:
        raise KeyboardInterrupt
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not recorder.checks:
        recorder.checks.append(Check("the suite itself", False, 0, f"pytest ended with {pytest.ExitCode(code).name}"))
    return Verdict(url, tuple(recorder.checks), round(time.monotonic() - recorder.started_s, 3))
