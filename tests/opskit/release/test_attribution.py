"""Every commit is in exactly one release, the one the rule names; the rule is worked out here by brute force."""

import random
import subprocess
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semver import Version

from opskit.git.history import Commit, History, Tag, read_history
from opskit.git.runner import Git
from opskit.release.attribution import attribute
from opskit.release.versions import releases
from tests.opskit.repos import Repo, Repos

NO_VERSIONS = ("latest", "v1", "1.0.0", "v01.0.0", "nightly-2026", "vv1.0.0", "v1.0.0.0")


@dataclass
class Graph:
    """A history as it grows: parents by number, tags by name, branch tips by name."""

    parents: list[tuple[int, ...]] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)
    tips: dict[str, int] = field(default_factory=dict)

    def commit(self, *parents: int, time: int = 0) -> int:
        self.parents.append(tuple(dict.fromkeys(parents)))
        self.times.append(time)
        return len(self.parents) - 1

    def history(self) -> History:
        commits = [
            Commit(name(n), tuple(map(name, self.parents[n])), self.times[n], self.times[n], f"feat: change {n}")
            for n in reversed(range(len(self.parents)))
        ]
        tags = {tag: Tag(tag, name(n), self.times[n]) for tag, n in self.tags.items()}
        return History(commits, tags, {branch: name(n) for branch, n in self.tips.items()}, {})


def name(number: int) -> str:
    return f"{number:040x}"


@st.composite
def git_flow(draw: st.DrawFn) -> Graph:
    """A git-flow project as people really treat it: squash, cherry-pick, revert, octopus, criss-cross, several roots,
    releases tagged on main only or on side branches, candidates, hotfixes, clocks that go wrong.
    """
    graph = Graph()
    clock = draw(st.integers(0, 2**31))
    graph.tips = {"main": graph.commit(time=clock)}
    graph.tips["develop"] = graph.tips["main"]
    for _ in range(draw(st.integers(0, 40))):
        clock += draw(st.integers(-(10**6), 10**6))
        branch = draw(st.sampled_from(sorted(graph.tips)))
        tip = graph.tips[branch]
        others = draw(st.lists(st.sampled_from(sorted(graph.tips)), min_size=1, max_size=3))
        match draw(st.sampled_from(("commit", "branch", "merge", "squash", "cross", "root", "tag", "tag", "jump"))):
            case "commit":  # also a cherry-pick or a revert: a commit like any other in the graph
                graph.tips[branch] = graph.commit(tip, time=clock)
            case "branch":
                graph.tips[f"b{len(graph.tips)}"] = graph.commit(tip, time=clock)
            case "merge":  # with three others: an octopus
                graph.tips[branch] = graph.commit(tip, *(graph.tips[other] for other in others), time=clock)
            case "squash":
                graph.tips[branch] = graph.commit(tip, time=clock)
            case "cross":  # criss-cross: each merges the other's old tip
                other = others[0]
                old = graph.tips[other]
                graph.tips[branch] = graph.commit(tip, old, time=clock)
                graph.tips[other] = graph.commit(old, tip, time=clock)
            case "root":
                graph.tips[f"root{len(graph.tips)}"] = graph.commit(time=clock)
            case "jump":  # an old commit grows a branch: a late hotfix
                start = draw(st.integers(0, len(graph.parents) - 1))
                graph.tips[f"hotfix{len(graph.tips)}"] = graph.commit(start, time=clock)
            case _:
                number = draw(st.one_of(st.just(tip), st.integers(0, len(graph.parents) - 1)))
                graph.tags[draw(tag_names())] = number
    return graph


@st.composite
def tag_names(draw: st.DrawFn) -> str:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(NO_VERSIONS))
    version = f"v{draw(st.integers(0, 2))}.{draw(st.integers(0, 10))}.{draw(st.integers(0, 2))}"
    return version + draw(st.sampled_from(("", "", "", "-rc.1", "-rc.2", "-rc.10", "-beta", "+build.5")))


def by_brute_force(graph: Graph, commit: int) -> str | None:
    """Section 3 of the contract, read aloud."""
    ancestors: list[set[int]] = []
    for parents in graph.parents:
        ancestors.append(set(parents).union(*(ancestors[parent] for parent in parents)))
    versions = {tag: Version.parse(tag[1:]) for tag in graph.tags if tag not in NO_VERSIONS}
    containing = [tag for tag in versions if commit == graph.tags[tag] or commit in ancestors[graph.tags[tag]]]
    finals = [tag for tag in containing if not versions[tag].prerelease]
    rivals = finals or containing
    first = [tag for tag in rivals if not any(graph.tags[other] in ancestors[graph.tags[tag]] for other in rivals)]
    return min(first, key=lambda tag: (versions[tag], tag), default=None)


def attributed(history: History) -> dict[str, str | None]:
    attribution = attribute(history, releases(history, prefix="v"))
    return {
        commit.sha: release.tag if release else None
        for release, commits in attribution.commits_by_release().items()
        for commit in commits
    }


@given(git_flow())
def test_each_commit_is_in_the_one_release_that_the_rule_names(graph: Graph) -> None:
    found = attributed(graph.history())

    assert found == {name(n): by_brute_force(graph, n) for n in range(len(graph.parents))}


@given(git_flow(), st.randoms(use_true_random=False))
def test_neither_the_order_of_unrelated_commits_nor_of_tags_matters(graph: Graph, chance: random.Random) -> None:
    history = graph.history()
    tags = list(history.tags.items())
    chance.shuffle(tags)
    other = History(_another_order(list(history.commits), chance), dict(tags), history.heads, {})

    assert attributed(other) == attributed(history)


def _another_order(commits: list[Commit], chance: random.Random) -> list[Commit]:
    """The same commits, children first, otherwise as chance has it."""
    waiting = {commit.sha: 0 for commit in commits}
    by_sha = {commit.sha: commit for commit in commits}
    for commit in commits:
        for parent in commit.parents:
            waiting[parent] += 1
    free = [sha for sha, count in waiting.items() if count == 0]
    order = []
    while free:
        commit = by_sha[free.pop(chance.randrange(len(free)))]
        order.append(commit)
        for parent in commit.parents:
            waiting[parent] -= 1
            if waiting[parent] == 0:
                free.append(parent)
    return order


@given(git_flow())
def test_a_reason_names_the_release(graph: Graph) -> None:
    history = graph.history()
    attribution = attribute(history, releases(history, prefix="v"))
    for commit in history.commits:
        release = attribution.release_of(commit.sha)
        assert (release.tag if release else "no version tag contains it") in attribution.reason(commit.sha)


def written(graph: Graph, repo: Repo) -> dict[str, int]:
    """*graph* as a real repository: commit id -> number."""
    stream: list[str] = []
    for number, parents in enumerate(graph.parents):
        text = f"feat: change {number} ☕"
        stream += [f"commit refs/heads/import\nmark :{number + 1}"]
        stream += [f"committer Zoë <zoe@example.org> {abs(graph.times[number]) % 2**31} +0000"]
        stream += [f"data {len(text.encode())}\n{text}"]
        stream += ["from " + "0" * 40 if not parents else f"from :{parents[0] + 1}"]
        stream += [f"merge :{parent + 1}" for parent in parents[1:]]
        stream += [""]
    for at, (tag, number) in enumerate(graph.tags.items()):
        if at % 2:
            stream += [f"reset refs/tags/{tag}\nfrom :{number + 1}\n"]
        else:
            stream += [f"tag {tag}\nfrom :{number + 1}\ntagger Zoë <zoe@example.org> 0 +0000\ndata 0\n"]
    stream += [f"reset refs/heads/{branch}\nfrom :{number + 1}\n" for branch, number in graph.tips.items()]
    marks = repo.path / "marks"
    subprocess.run(
        ["git", "fast-import", "--quiet", "--force", f"--export-marks={marks}"],
        cwd=repo.path,
        input="\n".join(stream).encode(),
        check=True,
    )
    repo.git("update-ref", "-d", "refs/heads/import")
    pairs = (line.split() for line in marks.read_text(encoding="utf-8").splitlines())
    return {sha: int(mark[1:]) - 1 for mark, sha in pairs}


@given(graph=git_flow())
@settings(max_examples=12, deadline=None)
def test_a_real_repository_says_the_same(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("graph")
    repo = Repo(folder)
    repo.git("init", "-q", "-b", "elsewhere")
    numbers = written(graph, repo)

    found = attributed(read_history(Git(folder)))

    assert set(found) <= set(numbers)
    assert found == {sha: by_brute_force(graph, number) for sha, number in numbers.items() if sha in found}
    reachable = set(repo.git("rev-list", "--branches", "--tags").split())
    assert set(found) == reachable


def test_a_tag_of_a_tag_a_tag_of_a_tree_and_odd_names_are_read(repos: Repos) -> None:
    repo = repos.project().here
    repo.git("tag", "-a", "v1.0.1", "-m", "a tag of a tag", "v1.0.0")
    repo.git("tag", "-a", "v1.0.2", "-m", "a tree", "HEAD^{tree}")
    repo.git("tag", "v2.0.0-Привет")
    repo.git("branch", "größe/☕")

    history = read_history(Git(repo.path))

    assert history.tags["v1.0.1"].sha == history.tags["v1.0.0"].sha == repo.rev("main")
    assert "v1.0.2" not in history.tags
    assert history.heads["größe/☕"] == repo.rev("HEAD")
    assert [release.tag for release in releases(history, prefix="v")] == ["v1.0.0", "v1.0.1"]


def test_commits_no_ref_holds_can_be_read_by_id(repos: Repos) -> None:
    repo = repos.project().here
    loose = repo.git("commit-tree", "-p", "develop", "-p", "main", "-m", "Merge", "develop^{tree}")

    history = read_history(Git(repo.path), refs=[loose])

    assert history.commits[0].sha == loose
    assert loose not in {commit.sha for commit in read_history(Git(repo.path)).commits}
