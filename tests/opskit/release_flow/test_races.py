"""Somebody else moves a reference, or the remote refuses one: all or nothing."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.opskit.repos import Project, Ran, Repo, Repos

REFS = ["refs/heads/main", "refs/heads/develop", "refs/tags/v1.1.0"]


def refusing(remote: Repo, ref: str) -> None:
    hook = remote.write(
        "hooks/update", f'#!/bin/sh\n[ "$1" != "{ref}" ] || {{ echo "house rule 7: not $1" >&2; exit 1; }}\n'
    )
    hook.chmod(0o755)


def pushing_in_between(repos: Repos, project: Project, ref: str) -> str:
    """A CI command that has somebody else push *ref* while the release runs."""
    other = project.here.clone("other")
    if ref.startswith("refs/tags/"):
        call = f"git tag {ref.removeprefix('refs/tags/')} && git push -q origin {ref}"
    else:
        branch = ref.removeprefix("refs/heads/")
        call = (
            f"git checkout -q {branch} && git commit -q --allow-empty -m 'feat: first' && git push -q origin {branch}"
        )
    script = repos.folder / "somebody.sh"
    script.write_text(f"cd {other.path} && {call}\n")
    return f"sh {script}"


@pytest.mark.parametrize("ref", REFS)
def test_a_hook_that_refuses_one_reference_refuses_all_and_is_quoted(repos: Repos, ref: str) -> None:
    project = repos.project()
    refusing(project.remote, ref)
    before = project.here.refs()
    ran = project.here.opskit("release", "--json")
    assert ran.code == 3
    assert "house rule 7" in ran.json["error"]
    assert ref.rpartition("/")[2] in ran.json["error"]
    assert (project.here.refs(), project.remote.refs()) == (before, before)
    assert project.here.status() == ""
    assert project.here.opskit("release", "--continue").code == 3


def test_a_pre_push_hook_that_refuses_is_quoted(repos: Repos) -> None:
    project = repos.project()
    project.here.write(".git/hooks/pre-push", "#!/bin/sh\necho 'not on a Friday' >&2\nexit 1\n").chmod(0o755)
    before = project.here.refs()
    ran = project.here.opskit("release", "--json")
    assert (ran.code, "not on a Friday" in ran.json["error"]) == (3, True)
    assert (project.here.refs(), project.remote.refs()) == (before, before)
    assert project.here.opskit("status", "--json").json["operation"] is None


@pytest.mark.parametrize("ref", REFS)
def test_somebody_who_pushes_while_ci_runs_refuses_all(repos: Repos, ref: str) -> None:
    project = repos.project()
    config = (project.here.path / "opskit.toml").read_text()
    command = pushing_in_between(repos, project, ref)
    project.here.write("opskit.toml", f'{config}[ci]\ntests = "{command}"\n')
    before = project.here.refs()
    ran = project.here.opskit("release", "--json")
    assert ran.code == 3, ran.err
    assert ref in ran.json["error"]
    assert project.here.refs() == before
    there = project.remote.refs()
    assert {name for name, oid in there.items() if before.get(name) != oid} == {ref}


@pytest.mark.parametrize("ref", REFS)
def test_somebody_who_pushes_in_the_very_moment_of_our_push_refuses_all(repos: Repos, ref: str) -> None:
    project = repos.project()
    script = pushing_in_between(repos, project, ref)
    hook = project.here.write(".git/hooks/pre-push", f"#!/bin/sh\nunset GIT_DIR; {script}\n")
    hook.chmod(0o755)
    before = project.here.refs()
    ran = project.here.opskit("release", "--json")
    assert ran.code == 3, ran.err
    assert project.here.refs() == before
    there = project.remote.refs()
    assert {name for name, oid in there.items() if before.get(name) != oid} == {ref}


def test_a_reference_already_at_its_new_value_counts_as_moved(repos: Repos) -> None:
    project = repos.project()
    epoch = {"SOURCE_DATE_EPOCH": "1700200000"}
    clone = project.here.clone("clone")
    clone.git("checkout", "-q", "develop")
    assert clone.opskit("release", env=epoch).code == 0
    script = repos.folder / "same.sh"
    after = project.remote.refs()
    for ref in REFS:
        project.remote.git("update-ref", "-d", ref)
    for ref, oid in project.here.refs().items():
        project.remote.git("update-ref", ref, oid)
    script.write_text(f"git -C {project.remote.path} update-ref refs/tags/v1.1.0 {after['refs/tags/v1.1.0']}\n")
    project.here.write(".git/hooks/pre-push", f"#!/bin/sh\nunset GIT_DIR; sh {script}\n").chmod(0o755)
    before = project.here.refs()
    ran = project.here.opskit("release", "--json", env=epoch)
    assert (ran.code, project.here.refs()) == (3, before), ran.err


def test_two_releases_started_at_once_from_two_clones_one_wins(repos: Repos) -> None:
    project = repos.project()
    clones = [project.here, project.here.clone("two")]
    clones[1].git("checkout", "-q", "develop")
    barrier = threading.Barrier(2)

    def go(clone: Repo) -> Ran:
        barrier.wait()
        return clone.spawned("release", "--json")

    with ThreadPoolExecutor() as pool:
        ran = list(pool.map(go, clones))
    assert sorted(each.code for each in ran) == [0, 3], [each.err for each in ran]
    winner = clones[[each.code for each in ran].index(0)]
    assert winner.rev("main") == project.remote.rev("main") == project.remote.rev("v1.1.0^{commit}")
    assert winner.rev("develop") == project.remote.rev("develop")


def test_two_releases_at_once_in_one_repository_one_waits_or_is_refused(repos: Repos) -> None:
    project = repos.project()
    with ThreadPoolExecutor() as pool:
        ran = list(pool.map(lambda _: project.here.spawned("release", "--json"), range(2)))
    assert sorted(each.code for each in ran) == [0, 3], [each.err for each in ran]
    assert project.here.refs() == project.remote.refs()


@pytest.mark.parametrize("whom", ["$PPID", "$(ps -o ppid= -p $PPID)"])
def test_a_lost_answer_is_looked_up_and_not_guessed(repos: Repos, whom: str) -> None:
    project = repos.project()
    project.remote.write("hooks/post-receive", f"#!/bin/sh\nkill -9 {whom}\n").chmod(0o755)
    ran = project.here.opskit("release", "--json")
    assert (ran.code, ran.json["published"]) == (0, True), ran.err
    assert project.here.refs() == project.remote.refs()
    assert "refs/tags/v1.1.0" in project.remote.refs()


@pytest.mark.parametrize("lock", ["refs/heads/main.lock", "refs/tags/v1.1.0.lock", "HEAD.lock"])
def test_a_reference_that_cannot_be_moved_here_is_refused_before_anything_is_published(repos: Repos, lock: str) -> None:
    project = repos.project()
    before = project.here.refs()
    project.here.git("checkout", "-q", "main")
    project.here.write(f".git/{lock}", "")
    ran = project.here.opskit("release", "--json")
    assert (ran.code, lock in ran.json["error"], ".lock" in ran.json["remedy"]) == (3, True, True)
    assert (project.here.refs(), project.remote.refs()) == (before, before)
    assert project.here.opskit("status", "--json").json["operation"] is None


def test_a_release_that_is_published_and_stuck_here_waits_for_continue(repos: Repos) -> None:
    project = repos.project()
    lock = project.here.path / ".git/refs/heads/main.lock"
    project.remote.write("hooks/post-receive", f"#!/bin/sh\n: > {lock}\n").chmod(0o755)
    ran = project.here.opskit("release", "--json")
    assert (ran.code, "is published, but not complete here" in ran.json["error"]) == (4, True)
    assert "opskit release --continue" in ran.json["remedy"]
    assert project.here.opskit("status", "--json").json["operation"] is not None
    lock.unlink()
    ended = project.here.opskit("release", "--continue", "--json")
    assert ended.code == 0, ended.err
    assert project.here.refs() == project.remote.refs()
    assert project.here.status() == ""
