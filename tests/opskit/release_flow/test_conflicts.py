"""Merges that need structure, and merges that need a person."""

import json
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.opskit.release_flow.test_kills import killing_after_record
from tests.opskit.repos import Project, Repo, Repos


def stabilising(repos: Repos) -> Project:
    """release/v1.1.0 is open and checked out; it and develop change the same line of app.txt."""
    return repos.kept("stabilising", stabilise)


def stabilise(repos: Repos) -> None:
    here = repos.project().here
    assert here.opskit("release", "--prepare").code == 0
    lines = here.show("HEAD:app.txt").splitlines()
    here.commit("feat: the next sprint", {"app.txt": "\n".join(["develop", *lines[1:]]) + "\n"})
    here.git("push", "-q", "origin", "develop")
    here.git("checkout", "-q", "release/v1.1.0")
    here.commit("fix: while stabilising", {"app.txt": "\n".join(["release", *lines[1:]]) + "\n"})
    here.git("push", "-q", "origin", "release/v1.1.0")


def settle(here: Repo, content: str = "both\n") -> Repo:
    [line] = [line for line in here.git("worktree", "list").splitlines() if "-merge-" in line]
    place = Repo(Path(line.split()[0]), here.env)
    place.write("app.txt", content)
    return place


def test_a_conflict_stops_with_4_and_continue_takes_what_a_person_made_of_it(repos: Repos) -> None:
    project = stabilising(repos)
    here, before = project.here, project.here.refs()
    dry = here.opskit("release", "--dry-run", "--json")
    assert (dry.code, "app.txt" in dry.json["error"]) == (3, True)
    ran = here.opskit("release", "--json")
    assert (ran.code, "app.txt" in ran.json["error"]) == (4, True)
    assert "--continue" in ran.json["remedy"]
    assert (here.refs(), project.remote.refs()) == (before, before)
    assert here.status() == ""
    assert here.opskit("release").code == 3
    assert here.opskit("release", "--continue").code == 4
    place = settle(here)
    assert here.opskit("release", "--continue").code == 4
    place.git("add", "app.txt")
    done = here.opskit("release", "--continue", "--json")
    assert done.code == 0, done.err
    assert here.refs() == project.remote.refs()
    assert here.show("develop:app.txt") == "both"
    assert here.show("main:app.txt").startswith("release")
    assert here.git("merge-base", "main", "develop") == here.rev("main")
    assert not place.path.exists()
    assert here.status() == ""


def test_a_conflict_may_be_committed_in_its_work_tree_and_continued_from_there(repos: Repos) -> None:
    here = stabilising(repos).here
    assert here.opskit("release").code == 4
    place = settle(here)
    place.git("commit", "-q", "-am", "settled")
    assert place.opskit("release", "--continue").code == 0
    assert here.show("develop:app.txt") == "both"


def test_abort_at_a_conflict_leaves_everything_as_before(repos: Repos) -> None:
    project = stabilising(repos)
    here, before = project.here, project.here.refs()
    assert here.opskit("release").code == 4
    place = settle(here)
    ran = here.opskit("release", "--abort", "--json")
    assert ran.code == 0, ran.err
    assert (here.refs(), project.remote.refs()) == (before, before)
    assert not place.path.exists()
    assert here.opskit("release", "--continue").code == 3


@pytest.mark.slow
def test_a_dry_run_of_continue_or_abort_shows_and_does_nothing(repos: Repos) -> None:
    project = stabilising(repos)
    here = project.here
    assert here.opskit("release", "--json").code == 4
    before = here.refs()
    assert here.opskit("release", "--continue", "--dry-run").code == 3
    settle(here).git("add", "app.txt")
    shown = here.opskit("release", "--continue", "--dry-run", "--json")
    assert (shown.code, shown.json["published"]) == (0, False)
    given_up = here.opskit("release", "--abort", "--dry-run", "--json")
    assert (given_up.code, given_up.json["aborted"], given_up.json["refs"]) == (0, "release", [])
    assert (here.refs(), project.remote.refs()) == (before, before)
    done = here.opskit("release", "--continue", "--json")
    assert (done.code, done.json["refs"]) == (0, shown.json["refs"])


@pytest.mark.parametrize("how", ["--continue", "--abort"])
@pytest.mark.parametrize("records", [(3, 8), pytest.param(range(1, 18), marks=pytest.mark.slow)], ids=["some", "each"])
def test_a_conflict_settled_by_hand_survives_a_kill(repos: Repos, records: Sequence[int], how: str) -> None:
    for number in records:
        folder = repos.folder / str(number)
        folder.mkdir()
        project = stabilising(Repos(folder, repos.env, repos.templates))
        here, before = project.here, project.here.refs()
        assert here.opskit("release").code == 4
        settle(here).git("add", "app.txt")
        if here.opskit("release", "--continue", arm=killing_after_record(number)).code != -signal.SIGKILL:
            return
        after = here.opskit("release", how, "--json")
        assert here.refs() == project.remote.refs()
        assert here.status() == ""
        if "refs/tags/v1.1.0" in here.refs():
            assert (after.code, here.show("develop:app.txt")) == (0 if how == "--continue" else 3, "both")
        else:
            assert (how, after.code, here.refs()) == ("--abort", 0, before)


def test_changelog_and_version_files_are_settled_by_structure(repos: Repos) -> None:
    project = repos.project()
    here = project.here
    assert here.opskit("release", "--prepare").code == 0
    text = here.show("develop:CHANGELOG.md")
    version = '{\n  "name": "demo",\n  "version": "1.2.0-dev"\n}\n'
    noted = text.rstrip() + "\n\n### Added\n\n- Written by hand for the next one\n"
    here.commit("feat: next", {"CHANGELOG.md": noted, "version.json": version})
    here.git("push", "-q", "origin", "develop")
    ran = here.opskit("release", "--json")
    assert ran.code == 0, ran.err
    merged = here.show("develop:CHANGELOG.md")
    unreleased, _, released = merged.partition("## [1.1.0]")
    assert "Written by hand for the next one" in unreleased
    assert "Rooms (US-002)" in released
    assert "Written by hand" not in here.show("main:CHANGELOG.md")
    assert json.loads(here.show("develop:version.json"))["version"] == "1.2.0-dev"
    assert json.loads(here.show("main:version.json"))["version"] == "1.1.0"
