"""`kill -9` anywhere, then `--continue` or `--abort`: the whole release, or the references of before."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import opskit.git.runner
import opskit.journal
from tests.opskit.repos import Project, Ran, Repo, Repos

EPOCH = {"SOURCE_DATE_EPOCH": "1700200000"}
Killer = Callable[[int], Callable[[], None]]


def killing_after_record(number: int) -> Callable[[], None]:
    """Kill this process right after the journal's record with this number."""

    def arm() -> None:
        append, count = opskit.journal.Journal._append, [0]

        def counted(self: Any, *args: Any) -> None:
            append(self, *args)
            count[0] += 1
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)

        setattr(opskit.journal.Journal, "_append", counted)  # noqa: B010 - in a forked process of the test's own

    return arm


def killing_after_git(number: int) -> Callable[[], None]:
    """Kill this process right after the git command with this number."""

    def arm() -> None:
        run, count = opskit.git.runner.Git.run, [0]

        def counted(self: Any, *args: Any, **options: Any) -> Any:
            output = run(self, *args, **options)
            count[0] += 1
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return output

        setattr(opskit.git.runner.Git, "run", counted)  # noqa: B010 - in a forked process of the test's own

    return arm


def release_project(repos: Repos) -> tuple[Project, list[str]]:
    project = repos.project(config='[ci]\ntests = "true"\n')
    project.here.write("dirty.txt", "mine\n")
    return project, ["release"]


def hotfix_project(repos: Repos) -> tuple[Project, list[str]]:
    project = repos.project(config='[hotfix]\ntest_command = "grep -q fixed app.txt"\n')
    here = project.here
    here.git("branch", "hotfix/text", "v1.0.0")
    place = Repo(here.path.parent / "hotfix-place", here.env)
    here.git("worktree", "add", "-q", str(place.path), "hotfix/text")
    place.commit("fix: text", {"app.txt": "fixed\n", "tests/x": "x\n"})
    here.git("push", "-q", "origin", "hotfix/text")
    assert here.opskit("hotfix", "approve", "--reviewer", "Ada").code == 0
    here.write("dirty.txt", "mine\n")
    return project, ["hotfix", "finish"]


Make = Callable[[Repos], tuple[Project, list[str]]]


def outcome(repos: Repos, make: Make, killer: Killer, number: int, how: str) -> tuple[bool, str]:
    """Kill a run at *number*, then go *how*; checks all or nothing. Returns whether it was killed, and which it was."""
    project, call = make(repos)
    here, before = project.here, project.here.refs()
    ran: Ran = here.opskit(*call, env=EPOCH, arm=killer(number))
    killed = ran.code == -signal.SIGKILL
    if not killed:
        assert ran.code == 0, ran.err
    after = here.opskit(*call, how, "--json", env=EPOCH) if killed else ran
    came_to = here.refs()
    assert came_to == project.remote.refs(), (number, how, after.err)
    assert here.status() == "?? dirty.txt", (number, how)
    trees = [Path(line.split()[0]) for line in here.git("worktree", "list").splitlines()]
    assert all(Repo(tree, here.env).status() in ("", "?? dirty.txt") for tree in trees)
    assert not (here.path / ".git/opskit/operation.jsonl").exists()
    released = any(ref.startswith("refs/tags/v1.") and ref != "refs/tags/v1.0.0" for ref in came_to)
    if not released:
        assert came_to == before
    expected = {("--continue", True): 0, ("--abort", False): 0, ("--abort", True): 3, ("--continue", False): 3}
    if killed and not (how == "--abort" and not released and after.code == 3):  # 3: killed before it was under way
        assert after.code == expected[how, released], (number, how, after.err, after.out)
    if how == "--continue" and after.code == 0:
        assert released
    return killed, "whole" if released else "before"


def every_kill(repos: Repos, make: Make, killer: Killer, *, step: int = 1, start: int = 1) -> dict[str, set[str]]:
    seen: dict[str, set[str]] = {"--continue": set(), "--abort": set()}
    for how in seen:
        number, killed = start, True
        while killed:
            folder = repos.folder / f"{how}-{number}"
            folder.mkdir()
            killed, came_to = outcome(Repos(folder, repos.env, repos.templates), make, killer, number, how)
            seen[how].add(came_to)
            number += step
    return seen


@pytest.mark.parametrize("how", ["--continue", "--abort"])
def test_a_release_killed_around_its_push_ends_whole_or_as_before(repos: Repos, how: str) -> None:
    for number in (3, 10, 13):
        folder = repos.folder / f"{number}"
        folder.mkdir()
        outcome(Repos(folder, repos.env, repos.templates), release_project, killing_after_record, number, how)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("make", [release_project, hotfix_project])
def test_killed_after_every_record_of_the_journal(repos: Repos, make: Make) -> None:
    seen = every_kill(repos, make, killing_after_record)
    assert seen == {"--continue": {"whole"}, "--abort": {"before", "whole"}}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("make", [release_project, hotfix_project])
def test_killed_after_every_git_command(repos: Repos, make: Make) -> None:
    seen = every_kill(repos, make, killing_after_git)
    assert "whole" in seen["--continue"]
    assert seen["--abort"] == {"before", "whole"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["--continue", "--abort"])
def test_the_whole_process_group_killed_at_any_moment(repos: Repos, how: str) -> None:
    """Git's own processes die with opskit, and leave their lock files and half-written files behind."""
    seen = set()
    for pause_ms in range(0, 600, 25):
        folder = repos.folder / str(pause_ms)
        folder.mkdir()
        project, call = release_project(Repos(folder, repos.env, repos.templates))
        project.here.git("remote", "remove", "origin")
        here, before = project.here, project.here.refs()
        running = project.here.start(*call)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(0.3 + pause_ms / 1000)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        after = here.opskit("release", how, "--json")
        assert after.code in (0, 3), after.err
        assert here.status() == "?? dirty.txt", (pause_ms, after.err)
        came_to = here.refs()
        assert came_to == before or {"refs/tags/v1.1.0"} == came_to.keys() - before.keys(), (pause_ms, after.err)
        assert here.opskit("ledger", "verify").code == 0
        seen.add(came_to == before)
    assert seen
