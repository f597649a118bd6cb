"""`opskit changelog` and `opskit version` as people and scripts call them, on real repositories."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from semver import Version

from tests.opskit.repos import Repo, Repos


def texts(section: dict[str, dict[str, list[dict[str, str]]]]) -> dict[str, list[str]]:
    return {group: [entry["text"] for entry in entries] for group, entries in section["groups"].items()}


def test_what_is_unreleased_is_the_default(repos: Repos) -> None:
    repo = repos.project().here
    repo.commit("chore: tidy")

    ran = repo.opskit("changelog", "--json")

    assert ran.code == 0
    [section] = ran.json["sections"]
    assert ran.json["schema"] == 1
    assert ran.json["left_out"] == 1
    assert (section["version"], section["date"]) == ("Unreleased", None)
    assert section["groups"] == {
        "Added": [{"text": "Rooms", "sha": repo.rev("develop~2"), "stories": ["US-002"]}],
        "Fixed": [{"text": "A leak", "sha": repo.rev("develop~1"), "stories": []}],
    }


def test_people_get_markdown_on_stdout_and_the_count_beside_it(repos: Repos) -> None:
    repo = repos.project().here
    repo.commit("plain")

    ran = repo.opskit("changelog")

    assert ran.out == "## [Unreleased]\n\n### Added\n\n- Rooms (US-002)\n\n### Fixed\n\n- A leak\n"
    assert ran.err == "1 commit left out: of other types, or with plain subjects\n"


def test_one_release_or_all_of_them(repos: Repos) -> None:
    repo = repos.project().here
    repo.git("tag", "v1.1.0-rc.1", "develop~1")

    assert repo.opskit("changelog", "--version", "1.0.0").out == repo.opskit("changelog", "--version", "v1.0.0").out
    everything = repo.opskit("changelog", "--all", "--json").json["sections"]
    assert [(one["version"], one["date"], texts(one)) for one in everything] == [
        ("Unreleased", None, {"Fixed": ["A leak"]}),
        ("1.1.0-rc.1", "2023-11-14", {"Added": ["Rooms"]}),
        ("1.0.0", "2023-11-14", {"Added": ["Begin"]}),
    ]


def test_a_candidate_rolls_up_into_its_final_release(repos: Repos) -> None:
    repo = repos.project().here
    repo.git("tag", "v1.1.0-rc.1", "develop~1")
    repo.git("tag", "v1.1.0")
    repo.git("tag", "stable")

    everything = repo.opskit("changelog", "--all", "--json").json["sections"]

    assert [one["version"] for one in everything] == ["Unreleased", "1.1.0", "1.0.0"]
    assert texts(everything[1]) == {"Added": ["Rooms"], "Fixed": ["A leak"]}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("changelog", "--all", "--unreleased"), "exclude one another"),
        (("changelog", "--version", "9.9.9"), "no tag v9.9.9"),
        (("changelog", "--version", "new"), "'new' is no version"),
        (("changelog", "why", "--", "--all"), "'--all' names no commit"),
        (("changelog", "why", "0123456"), "names no commit"),
        (("changelog", "why"), "SHA"),
        (("version", "extra"), "extra"),
    ],
)
def test_a_wrong_call_is_usage_and_named(repos: Repos, arguments: tuple[str, ...], said: str) -> None:
    ran = repos.project().here.opskit(*arguments)

    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_writing_changes_the_section_concerned_only(repos: Repos) -> None:
    repo = repos.project().here
    odd = "\ufeff# Journal\r\n\r\n##  [Unreleased]\r\n\r\n* by hand «ё»\r\n\r\n## 1.0.0\r\n* x   \r\n[l]: y".encode()
    file = repo.write("CHANGELOG.md", odd)
    file.chmod(0o640)

    plan = repo.opskit("changelog", "--write", "--dry-run")
    assert file.read_bytes() == odd
    assert "+* Rooms (US-002)" in plan.out

    assert repo.opskit("changelog", "--write", "--yes").code == 0
    written = file.read_bytes()
    added = b"### Added\r\n\r\n* Rooms (US-002)\r\n\r\n### Fixed\r\n\r\n* A leak\r\n\r\n"
    assert written == odd.replace("«ё»\r\n\r\n".encode(), "«ё»\r\n\r\n".encode() + added)
    assert file.stat().st_mode & 0o777 == 0o640
    assert "already" in repo.opskit("changelog", "--write").out
    assert file.read_bytes() == written


def test_all_are_written_into_a_new_file(repos: Repos) -> None:
    repo = repos.project().here
    (repo.path / "CHANGELOG.md").unlink()

    assert repo.opskit("changelog", "--all", "--write", "--json").json["left_out"] == 0

    text = (repo.path / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.index("## [Unreleased]") < text.index("- Rooms (US-002)") < text.index("## [1.0.0] - 2023-11-14")


@pytest.mark.parametrize("name", ["main", "develop", "HEAD", "v1.0.0"])
def test_why_says_where_a_commit_belongs(repos: Repos, name: str) -> None:
    repo = repos.project().here

    ran = repo.opskit("changelog", "why", name, "--json")

    released = name in {"main", "v1.0.0"}
    assert ran.json["sha"] == repo.rev(f"{name}^{{commit}}")
    assert ran.json["release"] == ("1.0.0" if released else None)
    assert ("v1.0.0 is the only release that contains it" if released else "no version tag") in ran.json["reason"]


def test_why_knows_commits_that_no_branch_has(repos: Repos) -> None:
    repo = repos.project().here
    loose = repo.git("commit-tree", "-p", "develop", "-m", "feat: loose", "develop^{tree}")

    reason = repo.opskit("changelog", "why", loose[:9], "--json").json["reason"]

    assert reason == "no version tag contains it; no branch that the next release is made of has it"


def test_the_version_is_inferred_and_explained(repos: Repos) -> None:
    repo = repos.project().here

    ran = repo.opskit("version", "--json")
    assert ran.json == {
        "schema": 1,
        "current": "1.0.0",
        "next": "1.1.0",
        "bump": "minor",
        "because": [repo.rev("develop~1")],
    }
    told = repo.opskit("version", "--why").out
    assert told.splitlines() == ["1.0.0 → 1.1.0 (minor)", f"  {repo.rev('develop~1')[:10]} feat: rooms (US-002)"]


def test_tags_that_the_branch_does_not_reach_count(repos: Repos) -> None:
    repo = repos.project().here
    aside = repo.git("commit-tree", "-p", "main", "-m", "squashed", "main^{tree}")
    repo.git("tag", "v3.2.0", aside)
    repo.git("tag", "version-9")
    repo.git("tag", "v9")

    ran = repo.opskit("version", "--json")

    assert (ran.json["current"], ran.json["next"]) == ("3.2.0", "3.3.0")


def test_without_a_tag_the_first_version_is_0_1_0(repos: Repos) -> None:
    ran = repos.project(released=False).here.opskit("version", "--json")

    assert (ran.json["current"], ran.json["next"]) == (None, "0.1.0")


def test_an_open_release_branch_has_announced_the_version(repos: Repos) -> None:
    repo = repos.project().here
    repo.git("branch", "release/v2.0.0")

    assert repo.opskit("version", "--json").json["next"] == "2.0.0"


def test_nothing_to_release_is_null(repos: Repos) -> None:
    repo = repos.project().here
    repo.git("tag", "v1.1.0")

    ran = repo.opskit("version", "--json")

    assert (ran.json["current"], ran.json["next"], ran.json["bump"], ran.json["because"]) == ("1.1.0", None, "none", [])


def test_a_prefix_other_than_v_is_read_and_not_printed(repos: Repos) -> None:
    repo = repos.project(config='tag_prefix = "größe-"\n').here
    repo.git("tag", "größe-2.0.0", "main")

    assert repo.opskit("version", "--json").json["current"] == "2.0.0"


def test_trunk_mode_reads_main(repos: Repos) -> None:
    assert repos.project(develop=False).here.opskit("version", "--json").json["next"] == "1.1.0"


def test_what_is_checked_out_makes_no_difference(repos: Repos) -> None:
    repo = repos.project().here
    before = repo.opskit("changelog", "--all", "--json").out
    repo.git("checkout", "-q", "--detach", "v1.0.0")

    assert repo.opskit("changelog", "--all", "--json").out == before


def test_a_detached_commit_is_all_there_is_where_no_branch_is_configured(repos: Repos) -> None:
    repo = repos.empty()
    repo.commit("feat: ☕")
    repo.git("checkout", "-q", "--detach")
    repo.git("branch", "-q", "-D", "main")

    assert texts(repo.opskit("changelog", "--json").json["sections"][0]) == {"Added": ["☕"]}


def test_a_bare_repository_can_be_read(repos: Repos) -> None:
    project = repos.project()

    ran = project.remote.opskit("changelog", "--all", "--json")

    assert ran.json["sections"] == project.here.opskit("changelog", "--all", "--json").json["sections"]


def test_a_latin_1_message_and_odd_ones_are_shown_as_they_are(repos: Repos) -> None:
    repo = repos.project().here
    tree, tip = repo.rev("develop^{tree}"), repo.rev("develop")
    for at, message in enumerate((b"feat: caf\xe9", b"fix: --all <b>*x*</b> [l](u)", b"feat: a\tb\x1b[31m", b"fix: ")):
        made = subprocess.run(
            ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
            cwd=repo.path,
            input=f"tree {tree}\nparent {tip}\nauthor Z <z@x> {at} +0000\ncommitter Z <z@x> {at} +0000\n\n".encode()
            + message,
            capture_output=True,
            check=True,
        )
        tip = made.stdout.decode().strip()
    repo.git("update-ref", "refs/heads/develop", tip)

    ran = repo.opskit("changelog")

    assert "- Café\n" in ran.out
    assert r"- --all \<b>\*x\*\</b> \[l\](u)" in ran.out
    assert "- A b[31m\n".replace("[", r"\[") in ran.out


def test_a_message_in_a_declared_encoding_is_read_in_it(repos: Repos) -> None:
    repo = repos.project().here
    repo.git("config", "i18n.commitEncoding", "KOI8-R")
    message = repo.path / ".git" / "message"
    message.write_bytes("feat: комната".encode("koi8-r"))
    repo.git("commit", "-q", "--allow-empty", "-F", str(message))

    assert "- Комната" in repo.opskit("changelog").out


def test_settings_of_git_do_not_get_into_the_reading(repos: Repos) -> None:
    repo = repos.project().here
    before = repo.opskit("changelog", "--all", "--json").out
    for key, value in (("log.showSignature", "true"), ("color.ui", "always"), ("format.pretty", "oneline")):
        repo.git("config", key, value)
    repo.git("config", "log.diffMerges", "first-parent")
    repo.git("config", "i18n.logOutputEncoding", "latin1")
    repo.git("config", "log.decorate", "full")

    assert repo.opskit("changelog", "--all", "--json").out == before


def test_refs_of_tools_are_no_commits_of_the_product(repos: Repos) -> None:
    repo = repos.project().here
    before = repo.opskit("changelog", "--all", "--json").out
    loose = repo.git("commit-tree", "-m", "feat: entry", "develop^{tree}")
    repo.git("update-ref", "refs/opskit/ledger", loose)
    repo.write("rooms.txt", "dirty")
    repo.git("stash")

    assert repo.opskit("changelog", "--all", "--json").out == before


@pytest.mark.parametrize("verb", [("changelog",), ("changelog", "why", "HEAD"), ("version",)])
def test_outside_a_repository_is_one_sentence(tmp_path: Path, verb: tuple[str, ...]) -> None:
    ran = Repo(tmp_path).opskit(*verb, env={"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)})

    assert ran.code == 2
    assert "not in a git repository" in ran.err
    assert len(ran.err.splitlines()) == 2


@pytest.mark.parametrize("verb", ["changelog", "version"])
def test_a_repository_without_commits_is_refused(repos: Repos, verb: str) -> None:
    ran = repos.empty().opskit(verb)

    assert ran.code == 3
    assert "no commits yet" in ran.err


@pytest.mark.parametrize("verb", ["changelog", "version"])
def test_a_shallow_clone_is_refused_with_the_remedy(repos: Repos, verb: str) -> None:
    project = repos.project()
    Repo(repos.folder, repos.env).git("clone", "-q", "--depth=1", project.remote.path.as_uri(), "shallow")

    ran = Repo(repos.folder / "shallow", repos.env).opskit(verb)

    assert ran.code == 3
    assert "git fetch --unshallow --tags" in ran.err


def histories() -> Path:
    for folder in Path(__file__).resolve().parents:
        found = folder / "shared" / "histories"
        if found.is_dir():
            return found
    pytest.skip("no shared/histories beside the checkout, and no command that would provide them")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    """The real history, rebuilt."""
    folder = tmp_path_factory.mktemp("histories") / "overseerr.git"
    source = histories()
    subprocess.run([sys.executable, source / "rebuild", source / "overseerr.jsonl.gz", folder], check=True)
    return Repo(folder)


def recorded_versions() -> dict[str, Version]:
    """The version tags of the recording, all of which are SemVer."""
    with gzip.open(histories() / "overseerr.jsonl.gz", "rt", encoding="utf-8") as lines:
        tags = json.loads(next(lines))["tags"]
    return {tag: Version.parse(tag[1:]) for tag in tags if tag.startswith("v")}


def test_no_commit_of_a_real_history_is_under_a_wrong_release(recorded: Repo) -> None:
    versions = recorded_versions()
    sections = recorded.opskit("changelog", "--all", "--json").json["sections"]

    listed = {entry["sha"]: one["version"] for one in sections for group in one["groups"].values() for entry in group}
    contained = {tag: set(recorded.git("rev-list", f"refs/tags/{tag}").split()) for tag in versions}
    for sha, version in listed.items():
        containing = [tag for tag in versions if sha in contained[tag]]
        rivals = [tag for tag in containing if not versions[tag].prerelease] or containing
        first = [tag for tag in rivals if not any(contained[other] < contained[tag] for other in rivals)]
        expected = min(first, key=versions.__getitem__, default=None)
        assert version == (expected[1:] if expected else "Unreleased"), sha
    assert len(listed) > 1000


def test_every_version_tag_of_a_real_history_is_placed(recorded: Repo) -> None:
    sections = [one["version"] for one in recorded.opskit("changelog", "--all", "--json").json["sections"]]

    assert set(sections) == {tag[1:] for tag in recorded_versions()} | {"Unreleased"}
    assert sections[1:] == sorted(sections[1:], key=Version.parse, reverse=True)


def test_the_next_version_of_a_real_history_is_greater_than_every_release(recorded: Repo) -> None:
    found = Version.parse(recorded.opskit("version", "--json").json["next"])

    assert all(found > version for version in recorded_versions().values())
