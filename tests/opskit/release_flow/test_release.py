"""`opskit release` from outside: real processes, real repositories, a real bare remote."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.opskit.repos import Project, Repo, Repos

EPOCH = {"SOURCE_DATE_EPOCH": "1700200000"}


def is_ancestor(repo: Repo, older: str, newer: str) -> bool:
    return repo.git("merge-base", older, newer) == repo.rev(f"{older}^{{commit}}")


def test_a_release_is_a_commit_a_merge_a_tag_and_a_back_merge_here_and_there(repos: Repos) -> None:
    project = repos.project()
    ran = project.here.opskit("release", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["version"] == "1.1.0"
    assert ran.json["tag"] == "v1.1.0"
    assert ran.json["published"] is True
    assert "- Rooms (US-002)" in ran.json["notes"]
    assert project.here.refs() == project.remote.refs()
    assert {move["ref"] for move in ran.json["refs"]} == {"refs/heads/main", "refs/heads/develop", "refs/tags/v1.1.0"}
    assert all(project.here.rev(move["ref"]) == move["new"] for move in ran.json["refs"])
    assert project.here.rev("v1.1.0^{commit}") == project.here.rev("main")
    assert is_ancestor(project.here, "main", "develop")
    assert project.here.git("log", "-1", "--format=%s", "main") == "Merge branch 'release/v1.1.0'"
    assert json.loads(project.here.show("main:version.json"))["version"] == "1.1.0"
    assert "## [1.1.0]" in project.here.show("develop:CHANGELOG.md")
    assert project.here.git("fsck", "--no-dangling") == ""


def test_the_ids_of_a_dry_run_are_those_of_the_run_and_it_leaves_nothing_behind(repos: Repos) -> None:
    project = repos.project(config='[ci]\ntests = "true"\n')
    before, objects = project.here.refs(), project.here.git("count-objects", "-v")
    planned = project.here.opskit("release", "--dry-run", "--json", env=EPOCH)
    assert planned.code == 0, planned.err
    assert (project.here.refs(), project.here.git("count-objects", "-v")) == (before, objects)
    done = project.here.opskit("release", "--json", env=EPOCH)
    assert done.json["refs"] == planned.json["refs"]
    assert planned.json["published"] is False


@pytest.mark.parametrize("checked_out", ["main", "develop", "topic", "--detach"])
def test_whatever_is_checked_out_and_dirty_only_that_is_dirty_afterwards(repos: Repos, checked_out: str) -> None:
    project = repos.project()
    here = project.here
    here.git("branch", "topic", "main")
    here.git("checkout", "-q", *([checked_out] if checked_out != "--detach" else ["--detach", "develop"]))
    here.write("app.txt", "mine\n")
    here.write("new.txt", "staged\n")
    here.git("add", "new.txt")
    here.write("untracked.txt", "x\n")
    before = here.status()
    ran = here.opskit("release", "--json")
    assert ran.code == 0, ran.err
    assert here.status() == before
    here.git("commit", "-q", "-m", "mine")
    assert here.git("diff-tree", "-r", "--no-commit-id", "--name-only", "HEAD") == "new.txt"


def test_several_work_trees_are_brought_along(repos: Repos) -> None:
    project = repos.project()
    here = project.here
    here.git("worktree", "add", "-q", str(here.path.parent / "on-main"), "main")
    other = Repo(here.path.parent / "on-main", here.env)
    other.write("note.txt", "x\n")
    assert other.opskit("release").code == 0
    assert (here.status(), other.status()) == ("", "?? note.txt")
    assert "1.1.0" in (other.path / "version.json").read_text()
    assert "1.1.0" in (here.path / "version.json").read_text()


@pytest.mark.parametrize("where", ["here", "other"])
def test_a_dirty_file_in_the_way_is_refused_and_named(repos: Repos, where: str) -> None:
    project = repos.project()
    here = project.here
    here.git("worktree", "add", "-q", str(here.path.parent / "other"), "main")
    (here.path if where == "here" else here.path.parent / "other").joinpath("version.json").write_text("{}\n")
    before = here.refs()
    ran = here.opskit("release", "--json")
    assert ran.code == 3
    assert "version.json" in ran.json["error"]
    assert (here.refs(), project.remote.refs()) == (before, before)
    assert here.opskit("release", "--continue").code == 3


def test_an_untracked_file_in_the_way_is_refused(repos: Repos) -> None:
    project = repos.project()
    project.here.git("checkout", "-q", "main")
    project.here.write("rooms.txt", "mine\n")
    ran = project.here.opskit("release", "--json")
    assert (ran.code, "rooms.txt" in ran.json["error"]) == (3, True)


@pytest.mark.parametrize(("ignored", "path"), [("rooms.txt", "rooms.txt"), ("sub", "sub")])
def test_an_ignored_file_in_the_way_is_not_overwritten(repos: Repos, ignored: str, path: str) -> None:
    here = repos.project().here
    here.commit("feat: a folder", {"sub/new.txt": "new\n"})
    here.git("checkout", "-q", "main")
    here.write(".git/info/exclude", f"{ignored}\n")
    here.write(path, "precious\n")
    ran = here.opskit("release", "--json")
    assert (ran.code, path in ran.json["error"]) == (3, True)
    assert (here.path / path).read_text() == "precious\n"


def test_an_index_that_is_locked_is_told_as_such(repos: Repos) -> None:
    here = repos.project().here
    here.write(".git/index.lock", "")
    ran = here.opskit("release", "--json")
    assert (ran.code, "index.lock" in ran.json["error"], "uncommitted" in ran.json["error"]) == (3, True, False)


@pytest.mark.parametrize("kind", ["link", "folder", "below a file"])
def test_a_changelog_that_is_no_plain_file_is_a_fault_of_the_configuration(repos: Repos, kind: str) -> None:
    here = repos.project(config='changelog = "rooms.txt/log"\n' if kind == "below a file" else "").here
    here.git("rm", "-q", "CHANGELOG.md")
    here.write("docs/CHANGELOG.md", "# Changelog\n")
    name = "rooms.txt" if kind == "below a file" else "CHANGELOG.md"
    if kind == "link":
        (here.path / "CHANGELOG.md").symlink_to("docs/CHANGELOG.md")
    elif kind == "folder":
        here.write("CHANGELOG.md/x", "x\n")
    here.git("add", "-A")
    here.git("commit", "-q", "-m", "chore: move it")
    ran = here.opskit("release", "--dry-run", "--json")
    assert (ran.code, f"{name} is a link or a folder" in ran.json["error"]) == (2, True)


def test_red_ci_changes_nothing_and_names_the_log(repos: Repos) -> None:
    project = repos.project(config='[ci]\ntests = "echo broken; false"\n')
    before = project.here.refs()
    ran = project.here.opskit("release", "--json")
    assert ran.code == 1
    assert "broken" in Path(ran.json["remedy"].removeprefix("see ")).read_text()
    assert (project.here.refs(), project.remote.refs()) == (before, before)
    assert project.here.git("worktree", "list").count("\n") == 0


def test_ci_runs_on_the_very_commit_that_is_tagged_in_a_clean_tree(repos: Repos) -> None:
    seen = repos.folder / "seen"
    project = repos.project(config=f'[ci]\ntests = "git rev-parse HEAD > {seen}; git status --porcelain >> {seen}"\n')
    project.here.write("app.txt", "dirty\n")
    assert project.here.opskit("release").code == 0
    assert seen.read_text().split() == [project.here.rev("v1.1.0^{commit}")]


def test_a_verdict_is_kept_per_tree(repos: Repos) -> None:
    count = repos.folder / "count"
    project = repos.project(config=f'[ci]\nlint = "echo x >> {count}"\n')
    first = project.here.opskit("ci", "--json").json
    again = project.here.opskit("ci", "develop", "--json").json
    assert (first["verdict"], first["cached"], again["cached"]) == ("green", False, True)
    assert first["steps"][0]["name"] == "lint"
    assert first["tree"] == project.here.rev("develop^{tree}")
    assert count.read_text() == "x\n"
    assert project.here.opskit("ci", "nonsense").code == 2


def test_without_steps_ci_is_green_and_says_so(repos: Repos) -> None:
    ran = repos.project().here.opskit("ci", "--json")
    assert (ran.code, ran.json["verdict"]) == (0, "green")
    assert "no steps" in ran.err


def test_a_version_may_be_named_with_or_without_its_prefix(repos: Repos) -> None:
    project = repos.project()
    assert project.here.opskit("release", "v2.0.0", "--dry-run", "--json").json["tag"] == "v2.0.0"
    assert project.here.opskit("release", "2.0.0", "--dry-run", "--json").json["version"] == "2.0.0"


@pytest.mark.parametrize(
    ("version", "code", "says"),
    [("1.0.0", 3, "exists"), ("0.9.0", 3, "not greater"), ("one", 2, "one"), ("1.2.0-rc.1", 2, "final"), ("-x", 2, "")],
)
def test_a_version_that_will_not_do_is_refused(repos: Repos, version: str, code: int, says: str) -> None:
    project = repos.project()
    ran = project.here.opskit("release", version, "--json")
    assert ran.code == code, ran.err
    assert says in ran.out + ran.err


def test_nothing_to_release_is_refused(repos: Repos) -> None:
    project = repos.project()
    assert project.here.opskit("release").code == 0
    ran = project.here.opskit("release", "--json")
    assert (ran.code, "nothing to release since v1.1.0" in ran.json["error"]) == (3, True)


def test_trunk_mode_releases_from_main(repos: Repos) -> None:
    project = repos.project(develop=False)
    ran = project.here.opskit("release", "--json")
    assert ran.code == 0, ran.err
    assert {move["ref"] for move in ran.json["refs"]} == {"refs/heads/main", "refs/tags/v1.1.0"}
    assert project.here.git("log", "-1", "--format=%s %P", "main").split(" ")[0] == "chore(release):"
    assert project.here.refs() == project.remote.refs()
    assert project.here.status() == ""


def test_without_a_remote_the_release_is_local(repos: Repos) -> None:
    project = repos.project()
    project.here.git("remote", "remove", "origin")
    ran = project.here.opskit("release", "--json")
    assert (ran.code, ran.json["published"]) == (0, False)
    assert project.here.rev("v1.1.0^{commit}") == project.here.rev("main")


def test_prepare_publishes_a_branch_and_release_finishes_it(repos: Repos) -> None:
    project = repos.project()
    here = project.here
    prepared = here.opskit("release", "--prepare", "--json")
    assert prepared.code == 0, prepared.err
    assert project.remote.rev("release/v1.1.0") == here.rev("develop")
    here.git("checkout", "-q", "release/v1.1.0")
    here.commit("fix: while stabilising")
    here.git("checkout", "-q", "develop")
    here.commit("feat: not in this release")
    here.git("checkout", "-q", "release/v1.1.0")
    ran = here.opskit("release", "--json")
    assert ran.code == 0, ran.err
    assert "While stabilising" in ran.json["notes"]
    assert "Not in this release" not in ran.json["notes"]
    assert "refs/heads/release/v1.1.0" not in {**here.refs(), **project.remote.refs()}
    assert here.git("branch", "--show-current") == "develop"
    assert here.status() == ""
    assert is_ancestor(here, "main", "develop")


def test_candidates_are_tagged_on_the_release_branch_and_move_neither_main_nor_develop(repos: Repos) -> None:
    project = repos.project()
    here, before = project.here, project.here.refs()
    first = here.opskit("release", "--pre", "rc", "--json")
    assert first.code == 0, first.err
    assert first.json["tag"] == "v1.1.0-rc.1"
    assert here.opskit("release", "--pre", "rc").code == 3
    here.git("checkout", "-q", "release/v1.1.0")
    assert '"1.1.0-rc.1"' in here.show("HEAD:version.json")
    here.commit("fix: found in the candidate")
    assert here.opskit("release", "--pre", "rc", "--json").json["tag"] == "v1.1.0-rc.2"
    assert [here.rev(name) for name in ("main", "develop")] == [before[f"refs/heads/{n}"] for n in ("main", "develop")]
    final = here.opskit("release", "--json")
    assert final.code == 0, final.err
    assert final.json["version"] == "1.1.0"
    assert "Found in the candidate" in final.json["notes"]
    assert '"1.1.0"' in here.show("main:version.json")


def test_a_local_branch_ahead_is_published_one_behind_brought_up_and_diverged_refused(repos: Repos) -> None:
    project = repos.project()
    here, other = project.here, project.here.clone("other")
    here.commit("feat: only here")
    assert "Only here" in here.opskit("release", "--dry-run", "--json").json["notes"]
    other.git("checkout", "-q", "develop")
    other.commit("feat: pushed by another")
    other.git("push", "-q", "origin", "develop")
    refused = here.opskit("release", "--json")
    assert (refused.code, "diverged" in refused.json["error"]) == (3, True)
    here.git("reset", "-q", "--hard", "HEAD~1")
    ran = here.opskit("release", "--json")
    assert ran.code == 0, ran.err
    assert "Pushed by another" in ran.json["notes"]
    assert here.refs() == project.remote.refs()


def test_a_tag_only_the_remote_has_counts(repos: Repos) -> None:
    project = repos.project()
    other = project.here.clone("other")
    other.git("tag", "v1.1.0")
    other.git("push", "-q", "origin", "v1.1.0")
    ran = project.here.opskit("release", "1.1.0", "--json")
    assert (ran.code, "exists" in ran.json["error"]) == (3, True)


def test_what_only_main_holds_yet_is_released_too(repos: Repos) -> None:
    here = repos.project().here
    here.git("checkout", "-q", "main")
    here.commit("feat!: straight onto main")
    here.git("checkout", "-q", "develop")
    announced = here.opskit("version", "--json").json["next"]
    candidate = here.opskit("release", "--pre", "rc", "--dry-run", "--json").json
    assert (candidate["version"], "Straight onto main" in candidate["notes"]) == ("2.0.0-rc.1", False)
    ran = here.opskit("release", "--json").json
    assert ran["version"] == announced == "2.0.0"
    assert "Straight onto main" in ran["notes"]
    assert "Straight onto main" in here.show("main:CHANGELOG.md")


def test_a_release_branch_whose_name_is_no_version_needs_one_said(repos: Repos) -> None:
    here = repos.project().here
    here.git("branch", "release/next")
    ran = here.opskit("release", "--json")
    assert (ran.code, "release/next" in ran.json["error"]) == (3, True)
    assert here.opskit("release", "v1.5.0").code == 0
    assert "refs/heads/release/next" not in here.refs()
    assert "1.5.0" in here.show("main:version.json")


def test_undo_takes_a_release_back_here_and_there(repos: Repos) -> None:
    project = repos.project()
    before = project.here.refs()
    project.here.write("dirty.txt", "x\n")
    assert project.here.opskit("release").code == 0
    assert project.here.opskit("undo", "--dry-run").code == 0
    ran = project.here.opskit("undo", "--json")
    assert ran.code == 0, ran.err
    assert (project.here.refs(), project.remote.refs()) == (before, before)
    assert project.here.status() == "?? dirty.txt"
    assert project.here.opskit("undo").code == 3
    assert project.here.opskit("release", "--json").json["version"] == "1.1.0"


def test_undo_is_refused_once_something_moved_on_or_was_deployed(repos: Repos) -> None:
    from opskit.git.runner import Git
    from opskit.ledger import Ledger

    project: Project = repos.project()
    assert project.here.opskit("release").code == 0
    sha = project.here.rev("main")
    book = Ledger(Git(project.here.path))
    book.append("deploy", {"phase": "intent", "operation": "1", "target": "prod", "commit": sha}, subject="deploy")
    ran = project.here.opskit("undo", "--json")
    assert (ran.code, "deployed to prod" in ran.json["error"]) == (3, True)
    book.append("deploy", {"operation": "1", "commit": sha, "result": "failed"}, subject="deploy failed")
    project.here.commit("feat: more")
    project.here.git("push", "-q", "origin", "develop")
    assert "develop moved since" in project.here.opskit("undo", "--json").json["error"]


def test_ctrl_c_while_ci_runs_changes_nothing(repos: Repos) -> None:
    started = repos.folder / "started"
    project = repos.project(config=f'[ci]\ntests = "touch {started}; sleep 60"\n')
    before = project.here.refs()
    running = project.here.start("release")
    deadline = time.monotonic() + 60
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    assert running.wait(30) == 130
    assert project.here.refs() == project.remote.refs() == before
    assert project.here.git("worktree", "list").count("\n") == 0
    assert project.here.opskit("release", "--continue").code == 3
