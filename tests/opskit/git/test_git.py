"""The git layer against real repositories."""

from pathlib import Path

import pytest

from opskit.errors import Refused
from opskit.git import objects, refs, worktrees
from opskit.git.objects import Signature
from opskit.git.refs import Update
from opskit.git.remote import PushRefused, Remote
from opskit.git.runner import Git, GitFailed
from tests.opskit.repos import Repos

AT = Signature(1_700_000_000)


def test_a_command_that_fails_says_what_git_said(repos: Repos) -> None:
    git = Git(repos.empty().path)
    with pytest.raises(GitFailed, match="Not a valid object name nonsense"):
        git.run("cat-file", "-p", "nonsense")
    assert git.run("cat-file", "-p", "nonsense", check=False).code == 128


def test_a_hooks_environment_does_not_lead_git_elsewhere(repos: Repos, monkeypatch: pytest.MonkeyPatch) -> None:
    here = repos.project().here
    monkeypatch.setenv("GIT_DIR", str(repos.bare("elsewhere.git").path))
    monkeypatch.setenv("GIT_INDEX_FILE", "nonsense")
    assert Git.discover(here.path).text("rev-parse", "HEAD") == here.rev("HEAD")


def test_blobs_are_read_as_they_are_and_missing_ones_are_none(repos: Repos) -> None:
    repo = repos.empty()
    content = b"\xff\x00\r\nno line break at the end"
    repo.commit("feat: x", {"a b/ü.bin": content, "empty": b""})
    names = ["HEAD:a b/ü.bin", "HEAD:gone", "HEAD:empty", "HEAD:a b", "HEAD:gone too"]
    assert objects.read_blobs(Git(repo.path), names) == [content, None, b"", None, None]


def test_a_tree_is_edited_without_touching_index_files_or_modes(repos: Repos) -> None:
    repo = repos.empty()
    repo.commit("feat: x", {"run.sh": "#!/bin/sh\n", "other": "x\n"})
    repo.git("update-index", "--chmod=+x", "run.sh")
    repo.git("commit", "-q", "-m", "fix: mode")
    before = repo.status()
    tree = objects.edit_tree(Git(repo.path), "HEAD", {"run.sh": b"new\r\n", "deep/er.txt": b"x"})
    assert repo.git("ls-tree", "-r", "--format=%(objectmode) %(path)", tree).splitlines() == [
        "100644 deep/er.txt",
        "100644 other",
        "100755 run.sh",
    ]
    assert objects.read_blobs(Git(repo.path), [f"{tree}:run.sh"]) == [b"new\r\n"]
    assert repo.status() == before


def test_a_merge_names_its_conflicts_with_all_three_sides(repos: Repos) -> None:
    repo = repos.empty()
    base = repo.commit("feat: x", {"ä.txt": "base\n"})
    repo.git("checkout", "-q", "-b", "other")
    theirs = repo.commit("feat: theirs", {"ä.txt": "theirs\n"})
    repo.git("checkout", "-q", "main")
    ours = repo.commit("feat: ours", {"ä.txt": "ours\n"})
    merged = objects.merge(Git(repo.path), ours, theirs)
    [conflict] = merged.conflicts
    assert conflict.path == "ä.txt"
    sides = [repo.rev(f"{commit}:ä.txt") for commit in (base, ours, theirs)]
    assert [conflict.base, conflict.ours, conflict.theirs] == sides
    assert not objects.merge(Git(repo.path), ours, base).conflicts


def test_objects_of_one_moment_have_the_same_ids(repos: Repos) -> None:
    repo = repos.empty()
    head = repo.commit("feat: x")
    git = Git(repo.path)
    made = [objects.commit(git, tree=f"{head}^{{tree}}", parents=[head], message="-x", signature=AT) for _ in range(2)]
    tags = [objects.tag(git, name="v1", target=head, message="# not a comment", signature=AT) for _ in range(2)]
    assert made[0] == made[1]
    assert tags[0] == tags[1]
    assert repo.git("cat-file", "tag", tags[0]).endswith("\n\n# not a comment")
    assert repo.refs().keys() == {"refs/heads/main"}


def test_references_move_together_or_not_at_all(repos: Repos) -> None:
    repo = repos.empty()
    first, second = repo.commit("feat: 1"), repo.commit("feat: 2")
    git = Git(repo.path)
    refs.update(git, [Update("refs/heads/a", "", first), Update("refs/heads/b", "", first)], why="x")
    with pytest.raises(Refused):
        refs.update(git, [Update("refs/heads/a", first, second), Update("refs/heads/b", second, first)], why="x")
    assert repo.rev("a") == repo.rev("b") == first


def test_a_push_whose_lease_is_stale_moves_nothing(repos: Repos) -> None:
    project = repos.project()
    git, before = Git(project.here.path), project.remote.refs()
    tip, old = project.here.rev("develop"), project.here.rev("develop~1")
    with pytest.raises(PushRefused, match="main: somebody moved it"):
        Remote(git, "origin").push([Update("refs/heads/main", tip, old), Update("refs/heads/x", "", tip)])
    assert project.remote.refs() == before


def test_a_file_git_was_writing_when_it_was_killed_is_finished(repos: Repos) -> None:
    repo = repos.empty()
    old = repo.commit("feat: 1", {"long.txt": "old\n", "gone.txt": "x\n", "mine.txt": "theirs\n", "same.txt": "1\n"})
    repo.git("rm", "-q", "gone.txt")
    new = repo.commit("feat: 2", {"long.txt": "new and longer\n" * 100, "new.txt": "new\n", "same.txt": "2\n"})
    repo.git("reset", "-q", "--hard", old)
    repo.write("long.txt", "new and lo")
    repo.write("new.txt", "new\n")
    repo.write("mine.txt", "my own\n")
    (repo.path / "gone.txt").unlink()
    repo.write(".git/index.lock", "half an index")
    repo.git("update-ref", "refs/heads/main", new)
    worktrees.settle(Git(repo.path), old, new)
    assert repo.status() == " M mine.txt"
    assert (repo.path / "long.txt").read_text() == "new and longer\n" * 100


def test_a_file_that_somebody_wrote_meanwhile_is_not_overwritten(repos: Repos) -> None:
    repo = repos.empty()
    old = repo.commit("feat: 1", {"a.txt": "old\n"})
    new = repo.commit("feat: 2", {"a.txt": "new\n"})
    repo.git("reset", "-q", "--hard", old)
    repo.write("a.txt", "mine\n")
    repo.git("update-ref", "refs/heads/main", new)
    with pytest.raises(Refused, match=r"a\.txt"):
        worktrees.settle(Git(repo.path), old, new)
    assert (repo.path / "a.txt").read_text() == "mine\n"


def test_a_temporary_work_tree_is_clean_and_gone_afterwards_and_a_dead_ones_is_swept(repos: Repos) -> None:
    repo = repos.empty()
    first = repo.commit("feat: 1", {"a.txt": "1\n"})
    repo.commit("feat: 2", {"a.txt": "2\n"})
    git = Git(repo.path)
    repo.git("worktree", "add", "-q", "--lock", "--reason", "opskit process 999999999", str(repos.folder / "dead/tree"))
    with worktrees.temporary(git, first) as place:
        path: Path = place.directory
        assert (path / "a.txt").read_text() == "1\n"
        assert len(worktrees.listed(git)) == 2
    assert not path.exists()
    assert [tree.path for tree in worktrees.listed(git)] == [repo.path]
