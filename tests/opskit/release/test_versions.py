"""Which version comes next."""

import pytest

from opskit.errors import UsageFault
from opskit.git.history import Commit
from opskit.release.versions import Release, Version, current, infer_next, parse_version, precedence


def known(*versions: str) -> list[Release]:
    found = [Release(Version.parse(version), f"v{version}", "0" * 40, 0) for version in versions]
    return sorted(found, key=lambda release: precedence(release.version))


def commits(*messages: str) -> list[Commit]:
    return [Commit(f"{at:040x}", (), 0, 0, message) for at, message in enumerate(messages)]


@pytest.mark.parametrize(
    ("tags", "messages", "expected", "bump"),
    [
        ([], ["feat: a"], "0.1.0", "minor"),
        ([], ["feat!: a"], "0.1.0", "minor"),
        ([], ["plain"], "0.1.0", "minor"),
        ([], [], None, "none"),
        (["1.0.0"], ["fix: a"], "1.0.1", "patch"),
        (["1.0.0"], ["fix: a", "feat: b"], "1.1.0", "minor"),
        (["1.0.0"], ["deprecate: a"], "1.1.0", "minor"),
        (["1.0.0"], ["fix!: a", "feat: b"], "2.0.0", "major"),
        (["1.0.0"], ["chore!: a"], "2.0.0", "major"),
        (["1.0.0"], ["feat: a\n\nBREAKING CHANGE: b"], "2.0.0", "major"),
        (["0.3.1"], ["feat!: a"], "0.4.0", "minor"),
        (["0.3.1"], ["feat: a"], "0.4.0", "minor"),
        (["0.3.1"], ["perf: a"], "0.3.2", "patch"),
        (["1.0.0"], ["docs: a", "plain"], None, "none"),
        (["1.0.0"], [], None, "none"),
        (["1.0.0"], ['Revert "feat: a"', "feat: a"], None, "none"),
        (["1.9.0", "1.10.0", "1.2.0"], ["fix: a"], "1.10.1", "patch"),
        (["1.0.0-rc.1"], ["feat: a"], "1.0.0", "major"),
        (["1.0.0", "2.0.0-alpha.1"], ["fix: a"], "1.0.1", "patch"),
        (["1.0.0+build.1"], ["fix: a"], "1.0.1", "patch"),
    ],
)
def test_the_commits_decide(tags: list[str], messages: list[str], expected: str | None, bump: str) -> None:
    found = infer_next(known(*tags), commits(*messages))

    assert (str(found.version) if found.version else None, str(found.bump)) == (expected, bump)


def test_a_candidate_under_way_has_announced_its_version() -> None:
    tags = known("1.0.0", "2.0.0-rc.1")

    assert infer_next(tags, commits("fix: a"), candidates=tags[-1:]).version == Version(2, 0, 0)


def test_because_names_the_commits_of_the_highest_kind() -> None:
    found = infer_next(known("1.0.0"), commits("feat: a", "fix: b", "feat: c", "docs: d"))

    assert found.because == (f"{0:040x}", f"{2:040x}")


def test_the_current_version_is_the_highest_final_one() -> None:
    newest = current(known("1.0.0", "1.1.0-rc.1", "0.9.0"))

    assert newest
    assert newest.tag == "v1.0.0"
    assert current([]) is None


@pytest.mark.parametrize("text", ["1.2.3", "v1.2.3", "app-1.2.3"])
def test_a_version_is_understood_with_and_without_prefix(text: str) -> None:
    assert parse_version(text, prefix="app-") == Version(1, 2, 3)


@pytest.mark.parametrize("text", ["", "1.2", "v01.2.3", "--all", "één", "1.2.3.4"])
def test_what_is_no_version_is_named(text: str) -> None:
    with pytest.raises(UsageFault, match="no version"):
        parse_version(text, prefix="v")


def test_candidates_are_ordered_by_number_not_by_letter() -> None:
    tags = known("1.0.0", "1.0.0-rc.10", "1.0.0-rc.2", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-1")

    assert [str(release.version) for release in tags] == [
        *("1.0.0-1", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0")
    ]
