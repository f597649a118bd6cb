"""Where every command meets its caller: streams that break, questions, colours, signals, calls that are wrong."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.opskit.repos import ENVIRONMENT, Repo, Repos

_ROOT = str(Path(__file__).parents[3])


def _at_terminal(
    here: Repo,
    *args: str,
    typed: bytes = b"",
    env: dict[str, str] | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> tuple[int, str]:
    """Run `opskit` on a terminal, type *typed* when it asks, and return exit code and what the terminal showed.

    It is typed again while nothing happens: a signal that comes just before a read does not end the read.
    *meanwhile* is called once, before the answer.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a test run in the background has ignored
        os.chdir(here.path)
        ready = {**os.environ, **ENVIRONMENT, **here.env, "PYTHONPATH": _ROOT, "TERM": "xterm", **(env or {})}
        os.execve(sys.executable, [sys.executable, "-m", "opskit", *args], ready)
    shown, nothing_happened = b"", False
    while True:
        asked = shown.lower().endswith(b"/n] ") or (nothing_happened and b"/n] " in shown.lower())
        if typed and asked:  # a terminal shows what was typed: then it does not end with the question
            if meanwhile:
                meanwhile()
                meanwhile = None
            os.write(terminal, typed)
        nothing_happened = not select.select([terminal], [], [], 1.0)[0]
        if nothing_happened:
            continue
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the other end is closed: it has ended
            break
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def _opskit(here: Repo, *args: str, stdout: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "opskit", *args],
        cwd=here.path,
        env={**os.environ, **ENVIRONMENT, **here.env, "PYTHONPATH": _ROOT},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_release_goes_on_when_nobody_reads_its_output_any_more(repos: Repos) -> None:
    project = repos.project()
    reading, writing = os.pipe()
    os.close(reading)
    run = _opskit(project.here, "release", stdout=writing)
    os.close(writing)
    _, said = run.communicate()
    assert (run.returncode, said) == (0, "")
    assert project.remote.refs() == project.here.refs()
    assert "refs/tags/v1.1.0" in project.here.refs()
    assert project.here.opskit("release", "--continue").code == 3


def test_output_that_cannot_be_written_is_one_sentence(repos: Repos) -> None:
    with Path("/dev/full").open("w") as full:
        run = _opskit(repos.project().here, "changelog", stdout=full.fileno())
    _, said = run.communicate()
    assert run.returncode == 1
    assert "Traceback" not in said
    assert "opskit: the output could not be written: No space left on device" in said


@pytest.mark.parametrize(("typed", "code"), [(b"n\n", 3), (b"\x04", 3), (b"\x03", 130)])
def test_a_no_and_ctrl_d_refuse_and_ctrl_c_interrupts(repos: Repos, typed: bytes, code: int) -> None:
    project = repos.project()
    before = project.here.refs()
    ended, shown = _at_terminal(project.here, "release", typed=typed)
    assert (ended, "Traceback" in shown) == (code, False)
    assert project.here.refs() == before


def test_what_was_shown_is_what_is_done_or_nothing_is(repos: Repos) -> None:
    project = repos.project()
    before = project.here.refs()
    ended, shown = _at_terminal(
        project.here, "release", typed=b"y\n", meanwhile=lambda: project.here.commit("feat: one more")
    )
    assert (ended, "refs/heads/develop changed while you were asked" in shown) == (3, True)
    assert project.remote.refs() == before
    ended, shown = _at_terminal(project.here, "release", typed=b"y\n")
    assert (ended, f"branch main → {project.remote.rev('main')[:12]}" in shown) == (0, True)


@pytest.mark.parametrize("quiet", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color_and_a_dumb_terminal_are_respected(repos: Repos, quiet: dict[str, str]) -> None:
    here = repos.project().here
    code, shown = _at_terminal(here, "release", "--yes", env=quiet)
    assert (code, "\x1b" in shown) == (0, False)
    if "TERM" in quiet:
        assert "…" not in shown


def test_a_terminal_gets_colour(repos: Repos) -> None:
    code, shown = _at_terminal(repos.project().here, "release", "--yes")
    assert (code, "\x1b[32m✓\x1b[0m publish" in shown) == (0, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_ci_runs_changes_nothing_and_leaves_nothing_running(repos: Repos, number: int) -> None:
    started = repos.folder / "started"
    project = repos.project(config=f'[ci]\ntests = "echo $$ > {started}.new; mv {started}.new {started}; sleep 600"\n')
    before = project.here.refs()
    run = _opskit(project.here, "release", "--json", stdout=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    run.send_signal(number)
    told, said = run.communicate(timeout=60)
    assert (run.returncode, "Traceback" in said) == (130, False)
    assert (json.loads(told)["error"], json.loads(told)["exit_code"]) == ("interrupted", 130)
    assert not Path(f"/proc/{started.read_text().strip()}").exists()
    assert project.here.refs() == before
    assert project.here.opskit("release", "--continue").code == 3


@pytest.mark.parametrize("call", [["nope"], ["release", "--bogus"], ["release", "1.0.0", "2.0.0"], ["hotfix", "start"]])
def test_a_wrong_call_is_usage_in_json_too(repos: Repos, call: list[str]) -> None:
    ran = repos.empty().opskit(*call, "--json")
    assert (ran.code, ran.json["schema"], ran.json["exit_code"]) == (2, 1, 2)
    assert ran.json["error"] in ran.err


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (["relase"], "Did you mean 'release'?"),
        (["hotfix", "strat"], "Did you mean 'start'?"),
        (["release", "--dryrun"], "--dry-run"),
        (["smoke", "--url", ""], "--url is empty"),
        (["deploy", "--target", ""], "--target is empty"),
    ],
)
def test_a_slip_of_the_pen_is_named_with_what_was_meant(repos: Repos, call: list[str], said: str) -> None:
    ran = repos.empty().opskit(*call, "--json")
    assert (ran.code, said in ran.json["error"]) == (2, True), ran.err


def test_a_directory_that_is_gone_is_named(repos: Repos) -> None:
    gone = repos.folder / "gone"
    gone.mkdir()
    call = f"cd {gone} && rmdir {gone} && exec {sys.executable} -P -m opskit status"
    env = {**os.environ, "PYTHONPATH": _ROOT}
    ran = subprocess.run(["/bin/sh", "-c", call], env=env, capture_output=True, text=True)
    assert (ran.returncode, "the current directory is gone" in ran.stderr) == (3, True), ran.stderr
