"""A rebase, merge or the like that waits for a person keeps the branch it is about from being moved."""

import pytest

from tests.opskit.repos import Repo, Repos


def _begin(here: Repo, act: str) -> None:
    """Stop *act* on develop at a conflict, or (`merge --no-commit`, `am`) short of its commit."""
    here.git("checkout", "-q", "-b", "side", "develop~1")
    here.commit("feat: another leak", {"leak.txt": "mine\n"})
    patch = here.git("format-patch", "--stdout", "-1", "side") + "\n"
    here.git("checkout", "-q", "develop")
    match act:
        case "rebase":
            here.git("rebase", "side", check=False)
        case "merge":
            here.git("merge", "-q", "--no-commit", "--no-ff", "-s", "ours", "side")
        case "cherry-pick":
            here.git("cherry-pick", "side", check=False)
        case "revert":
            here.git("revert", "--no-commit", "HEAD")
        case "am":
            here.git("am", "-q", check=False, stdin=patch)


@pytest.mark.parametrize("act", ["rebase", "merge", "cherry-pick", "revert", "am"])
def test_what_git_has_under_way_on_a_branch_that_moves_is_refused_and_named(repos: Repos, act: str) -> None:
    project = repos.project()
    here = project.here
    _begin(here, act)
    before, status = here.refs(), here.status()
    ran = here.opskit("release", "--json")
    assert ran.code == 3
    assert f"a {act} of develop is under way in {here.path}" in ran.json["error"]
    assert f"{act} --continue" in ran.json["remedy"]
    assert (here.refs(), here.status()) == (before, status)
    assert here.opskit("release", "--continue").code == 3


def test_a_rebase_in_another_work_tree_counts_and_one_of_another_branch_does_not(repos: Repos) -> None:
    here = repos.project().here
    other = Repo(here.path.parent / "other", here.env)
    here.git("checkout", "-q", "-b", "mine")
    here.commit("feat: mine", {"leak.txt": "mine\n"})
    here.git("worktree", "add", "-q", str(other.path), "develop")
    other.commit("feat: another leak", {"leak.txt": "other\n"})
    other.git("rebase", "mine", check=False)
    ran = here.opskit("release", "--json")
    assert (ran.code, f"a rebase of develop is under way in {other.path}" in ran.json["error"]) == (3, True)
    other.git("rebase", "--abort")
    here.git("rebase", "develop", check=False)
    assert "rebas" in here.git("status")
    assert here.opskit("release").code == 0
    assert "rebas" in here.git("status")
