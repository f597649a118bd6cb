"""The steps of a drill, in a sandbox that holds next to nothing."""

import builtins
import io
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from opskit.drill.runner import Scenario, Step, Unmet, resembles, run, shortened
from opskit.drill.sandbox import Sandbox
from opskit.report import Report


@pytest.fixture
def place(tmp_path: Path) -> Sandbox:
    """A sandbox without repositories."""
    for name in ("chat", "bin", "home", "tmp"):
        (tmp_path / name).mkdir()
    return Sandbox(tmp_path, 1)


def has(name: str) -> Step:
    """A step that asks for a file of that name."""

    def check(place: Sandbox) -> str:
        if not (place.clone / name).exists():
            raise Unmet(f"a file {name}", ", ".join(sorted(path.name for path in place.clone.iterdir())))
        return f"{name} is there"

    return Step(goal=f"make {name}", command=f"touch {name}", check=check)


def carry_out(place: Sandbox, *steps: Step, practice: bool = False) -> tuple[list[bool], str, list[dict[str, object]]]:
    """Which steps went well, what people read, and the JSON lines."""
    out, err = io.StringIO(), io.StringIO()
    report = Report(as_json=True, out=out, err=err)
    done = run(Scenario(name="s", title="t", steps=steps), place, report, practice=practice)
    return [one.ok for one in done], err.getvalue(), [json.loads(line) for line in out.getvalue().splitlines()]


def test_each_step_is_shown_with_its_command_and_what_came_of_it(place: Sandbox) -> None:
    step = Step(goal="greet", command="echo hello")
    went, said, lines = carry_out(place, step, has("a"))
    assert went == [True, True]
    assert "1/2 greet\n$ echo hello\n    hello\n✓ done" in said
    assert (lines[1]["step"], lines[1]["command"], lines[1]["ok"]) == ("make a", "touch a", True)
    assert (lines[1]["detail"], set(lines[1])) == ("a is there", {"step", "command", "ok", "seconds", "detail"})


def test_the_first_step_that_fails_ends_it_naming_what_was_expected_and_seen(place: Sandbox) -> None:
    bad = Step(goal="make b", command="touch c", check=has("b").check)
    went, said, lines = carry_out(place, has("a"), bad, has("d"))
    assert went == [True, False]
    assert lines[-1]["detail"] == "expected a file b; saw a, c"
    assert "✗ expected a file b" in said
    assert not (place.clone / "d").exists()


def test_an_exit_code_that_is_not_the_expected_one_fails_a_step(place: Sandbox) -> None:
    assert carry_out(place, Step(goal="fail", command="exit 1", code=1))[0] == [True]
    went, _, lines = carry_out(place, Step(goal="fail", command="true", code=1))
    assert (went, lines[0]["detail"]) == ([False], "expected exit code 1; saw exit code 0")


def test_what_a_command_says_at_length_is_shortened() -> None:
    lines = shortened("\n".join(map(str, range(40))))
    assert lines == [*"01234", "… 27 more lines …", *map(str, range(32, 40))]
    assert len(shortened("x" * 1000)[0]) == 150


def test_practice_goes_on_only_when_the_command_has_done_it(place: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    typed: Iterator[str] = iter(["", "ls", "hint", "touch wrong", "touch 'open", "touch a", "skip"])
    monkeypatch.setattr(builtins, "input", lambda: next(typed))
    went, said, _ = carry_out(place, has("a"), has("b"), practice=True)
    assert went == [True, True]
    assert "  touch a\n" in said
    assert said.count("not yet: expected a file a; saw") == 1
    assert next(typed, None) is None


def test_what_users_do_is_not_practised(place: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "input", lambda: pytest.fail("nobody is to type"))
    assert carry_out(place, Step(goal="talk", command="true", others=True), practice=True)[0] == [True]


@pytest.mark.parametrize(
    ("typed", "judged"),
    [("opskit release 1.0.0", True), ("opskit release", True), ("opskit status", False), ("git log", False)],
)
def test_only_the_verb_that_is_asked_for_is_judged(typed: str, judged: bool) -> None:
    assert resembles(typed, "opskit release 1.0.0 --yes") is judged


def test_an_interrupt_ends_the_command_and_what_it_started(place: Sandbox) -> None:
    pids = place.clone / "pids"

    def interrupt() -> None:
        deadline = time.monotonic() + 30
        while not (pids.exists() and pids.read_text().count("\n") == 2) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        place.run(f"sleep 1000 & echo $! >{pids}; echo $$ >>{pids}; wait")
    for pid in map(int, pids.read_text().split()):
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            assert "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]  # nobody's child any more


def test_nothing_of_the_users_environment_reaches_the_sandbox(place: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "XDG_STATE_HOME", "SMOKE_USERNAME", "PYTEST_ADDOPTS", "SOURCE_DATE_EPOCH", "CHAT_BIND"):
        monkeypatch.setenv(name, "mine")
    assert "mine" not in place.run("env").output
    assert place.run("cd && pwd").output == str(place.root / "home")
