"""`opskit hotfix` from outside, on a small Python project."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from opskit.git.runner import Git
from opskit.ledger import Ledger
from tests.opskit.repos import Project, Repo, Repos

BROKEN = "def key(name):\n    return name.encode('ascii', 'ignore').decode().lower()\n"
FIXED = "def key(name):\n    return name.casefold()\n"
TEST = "from rooms import key\n\n\ndef test_a_cup():\n    assert key('cafe-☕') == 'cafe-☕'\n"
CONFIG = '[ci]\ntests = "python -c pass"\n'


def production(repos: Repos, config: str = CONFIG) -> Project:
    """v1.1.0 with the fault is released; unreleased work waits on develop."""
    return repos.kept(f"production-{sha256(config.encode()).hexdigest()[:16]}", lambda fresh: release(fresh, config))


def release(repos: Repos, config: str) -> None:
    project = repos.project(config=config)
    project.here.commit("feat: rooms have keys", {"rooms.py": BROKEN})
    assert project.here.opskit("release").code == 0
    project.here.commit("feat: not released yet", {"later.txt": "x\n"})


def fix(here: Repo, source: str = FIXED, test: str = TEST) -> str:
    here.commit("test: a cup in a room's name", {"tests/test_rooms.py": test})
    return here.commit("fix(rooms): keep every character of a name (US-002)", {"rooms.py": source})


def rows(ran_json: dict[str, object]) -> dict[str, bool | None]:
    found = ran_json["rows"]
    assert isinstance(found, list)
    return {row["name"]: row["ok"] for row in found}


def test_a_hotfix_from_start_to_finish(repos: Repos) -> None:
    project = production(repos)
    here = project.here
    started = here.opskit("hotfix", "start", "unicode", "--incident", "INC-001", "--json")
    assert started.code == 0, started.err
    assert (started.json["branch"], started.json["base"], started.json["worktree"]) == (
        "hotfix/unicode",
        "v1.1.0",
        None,
    )
    assert here.git("branch", "--show-current") == "hotfix/unicode"
    assert not (here.path / "later.txt").exists()
    tip = fix(here)
    here.git("push", "-q", "origin", "hotfix/unicode")
    checked = here.opskit("hotfix", "check", "--json")
    assert checked.code == 0, checked.out + checked.err
    assert rows(checked.json) == dict.fromkeys(["fixes the issue", "minimal", "no regressions", "test adequate"], True)
    assert (checked.json["score"], checked.json["sha"]) == (10, tip)
    assert here.opskit("hotfix", "finish").code == 3
    approved = here.opskit("hotfix", "approve", "--reviewer", "Ada", "--json")
    assert (approved.json["sha"], approved.json["verdict"]) == (tip, "approved")
    assert approved.json["minutes"] > 0
    planned = here.opskit("hotfix", "finish", "--dry-run", "--json", env={"SOURCE_DATE_EPOCH": "1700300000"})
    done = here.opskit("hotfix", "finish", "--json", env={"SOURCE_DATE_EPOCH": "1700300000"})
    assert done.code == 0, done.err
    assert done.json["refs"] == planned.json["refs"]
    assert (done.json["tag"], done.json["published"]) == ("v1.1.1", True)
    assert here.refs() == project.remote.refs()
    assert "refs/heads/hotfix/unicode" not in here.refs()
    assert here.show("v1.1.1:rooms.py") == FIXED.strip()
    assert here.show("develop:rooms.py") == FIXED.strip()
    assert here.git("merge-base", "main", "develop") == here.rev("main")
    assert "Keep every character of a name (US-002)" in here.show("main:CHANGELOG.md")
    assert (here.git("branch", "--show-current"), here.status()) == ("develop", "")
    assert (here.path / "later.txt").exists()
    [event] = [event for event in Ledger(Git(here.path)).read() if event.kind == "hotfix"]
    assert (event.data["incident"], event.data["version"]) == ("INC-001", "1.1.1")
    assert here.opskit("undo").code == 0
    assert here.rev("hotfix/unicode") == tip == project.remote.rev("hotfix/unicode")


def test_a_dirty_tree_gets_a_work_tree_of_its_own_which_finish_removes(repos: Repos) -> None:
    project = production(repos)
    here = project.here
    here.write("rooms.py", "half-written\n")
    here.git("push", "-q", "origin", "develop")
    before = here.status()
    started = here.opskit("hotfix", "start", "unicode", "--json")
    assert started.code == 0, started.err
    place = Repo(Path(started.json["worktree"]), here.env)
    assert (here.status(), here.git("branch", "--show-current")) == (before, "develop")
    fix(place)
    assert place.opskit("hotfix", "approve", "--reviewer", "Ada").code == 0
    refused = place.opskit("hotfix", "finish", "--json")
    assert (refused.code, "rooms.py" in refused.json["error"]) == (3, True)
    here.git("checkout", "-q", "--", "rooms.py")
    here.write("other.txt", "mine\n")
    place.write("notes.txt", "not saved anywhere else\n")
    refused = place.opskit("hotfix", "finish", "--json")
    assert (refused.code, "notes.txt" in refused.json["error"]) == (3, True)
    (place.path / "notes.txt").unlink()
    place.write("tests/__pycache__/test_rooms.pyc", "left by a test run")
    place.write(".pytest_cache/README.md", "left by a test run")
    ran = place.opskit("hotfix", "finish", "--json")
    assert ran.code == 0, ran.err
    assert not place.path.exists()
    assert (here.status(), here.git("worktree", "list").count("\n")) == ("?? other.txt", 0)


@pytest.mark.parametrize("dirty", [False, True])
def test_a_start_that_git_cannot_check_out_leaves_nothing_behind(repos: Repos, dirty: bool) -> None:
    here = repos.project().here
    here.git("checkout", "-q", "main")
    here.commit("chore: a filter", {".gitattributes": "art.bin filter=art\n", "art.bin": "x\n"})
    here.git("tag", "v1.0.5")
    here.git("checkout", "-q", "develop")
    here.git("config", "filter.art.required", "true")
    here.git("config", "filter.art.smudge", "false")
    if dirty:
        here.write("note.txt", "mine\n")
    before, status = here.refs(), here.status()
    ran = here.opskit("hotfix", "start", "x", "--json")
    assert (ran.code, "hotfix/x cannot be checked out" in ran.json["error"]) == (3, True)
    assert (here.refs(), here.status(), here.git("branch", "--show-current")) == (before, status, "develop")
    assert here.git("worktree", "list").count("\n") == 0


def test_a_post_checkout_hook_that_fails_does_not_undo_a_start(repos: Repos) -> None:
    here = repos.project().here
    here.write(".git/hooks/post-checkout", "#!/bin/sh\nexit 1\n").chmod(0o755)
    assert here.opskit("hotfix", "start", "x").code == 0
    assert here.git("branch", "--show-current") == "hotfix/x"


def test_an_approval_counts_for_the_last_commit_only_and_a_rejection_stops(repos: Repos) -> None:
    here = production(repos).here
    assert here.opskit("hotfix", "start", "unicode").code == 0
    fix(here)
    assert here.opskit("hotfix", "approve", "--reviewer", "Ada").code == 0
    here.commit("fix: one more line", {"rooms.py": FIXED + "\n"})
    stale = here.opskit("hotfix", "finish", "--json")
    assert (stale.code, "nobody has approved" in stale.json["error"]) == (3, True)
    assert here.opskit("hotfix", "reject", "--reviewer", "Ada", "--why", "too long", "--json").code == 0
    rejected = here.opskit("hotfix", "finish", "--json")
    assert (rejected.code, "too long" in rejected.json["error"]) == (3, True)
    assert here.opskit("hotfix", "finish", "--override", "now").code == 3


@pytest.mark.parametrize(
    ("source", "test", "bad"),
    [
        (FIXED, "def test_nothing():\n    pass\n", "fixes the issue"),
        pytest.param(BROKEN + "\n", TEST, "fixes the issue", marks=pytest.mark.slow),
        pytest.param(
            FIXED,
            "from rooms import missing\n\n\ndef test_x():\n    missing()\n",
            "fixes the issue",
            marks=pytest.mark.slow,
        ),
        pytest.param(FIXED + "".join(f"X{n} = {n}\n" for n in range(40)), TEST, "minimal", marks=pytest.mark.slow),
        (FIXED + "\n\ndef unused():\n    return (\n        1\n    )\n", TEST, "test adequate"),
        pytest.param("raise SystemExit(1)\n", TEST, "no regressions", marks=pytest.mark.slow),
    ],
    ids=["tests nothing", "still broken", "does not import", "long", "untested line", "red ci"],
)
def test_each_row_finds_its_fault(repos: Repos, source: str, test: str, bad: str) -> None:
    here = production(repos, '[ci]\ntests = "python rooms.py"\n').here
    assert here.opskit("hotfix", "start", "unicode").code == 0
    fix(here, source, test)
    ran = here.opskit("hotfix", "check", "--json")
    assert ran.code == 1, ran.err
    assert rows(ran.json)[bad] is False, ran.out


def test_data_beside_the_tests_is_put_there_but_is_no_test(repos: Repos) -> None:
    here = production(repos).here
    assert here.opskit("hotfix", "start", "unicode").code == 0
    test = TEST.replace("key('cafe-☕')", "key(__import__('pathlib').Path('tests/data/cup [1].txt').read_text())")
    here.commit("test: a cup", {"tests/test_rooms.py": test, "tests/data/cup [1].txt": "cafe-☕"})
    here.commit("fix: keep every character", {"rooms.py": FIXED})
    ran = here.opskit("hotfix", "check", "--json")
    assert (ran.code, set(rows(ran.json).values())) == (0, {True}), ran.out


def test_a_failed_row_stops_finish_and_an_override_passes_it_on_record(repos: Repos) -> None:
    here = production(repos).here
    assert here.opskit("hotfix", "start", "unicode").code == 0
    here.commit("fix(rooms): without a test", {"rooms.py": FIXED})
    assert here.opskit("hotfix", "approve", "--reviewer", "Ada").code == 0
    ran = here.opskit("hotfix", "finish", "--json")
    assert (ran.code, "fixes the issue" in ran.json["error"]) == (1, True)
    done = here.opskit("hotfix", "finish", "--override", "users cannot work", "--json")
    assert done.code == 0, done.err
    kinds = {event.kind: event.data for event in Ledger(Git(here.path)).read()}
    assert kinds["hotfix"]["override"] == "users cannot work"
    assert "users cannot work" in kinds["action"]["title"]


def test_what_cannot_be_measured_is_null_and_does_not_fail(repos: Repos) -> None:
    config = '[hotfix]\ntest_command = "no-such-tool {tests}"\ntest_globs = ["*.spec"]\n'
    here = production(repos, config).here
    assert here.opskit("hotfix", "start", "text").code == 0
    here.commit("fix: text", {"app.txt": "new\n", "app.spec": "x\n"})
    ran = here.opskit("hotfix", "check", "--json")
    found = rows(ran.json)
    assert (found["fixes the issue"], found["test adequate"]) == (None, None)
    assert "no-such-tool" in ran.out


@pytest.mark.slow
def test_a_coverage_command_that_prints_a_cobertura_file_is_believed(repos: Repos) -> None:
    xml = '<coverage><class filename="app.txt"><line number="1" hits="{hits}"/></class></coverage>'
    for hits, ok in ((1, True), (0, False)):
        sub = Repos(repos.folder / str(hits), repos.env, repos.templates)
        sub.folder.mkdir()
        (sub.folder / "cobertura.xml").write_text(xml.format(hits=hits))
        config = "[hotfix]\ntest_globs = ['*.spec']\ntest_command = 'grep -q new app.txt'\n"
        config += f"coverage_command = 'echo {sub.folder}/cobertura.xml'\n"
        here = production(sub, config).here
        assert here.opskit("hotfix", "start", "text").code == 0
        first, *rest = (here.path / "app.txt").read_text().splitlines(keepends=True)
        here.commit("fix: text", {"app.txt": "".join(["new\n", *rest]), "app.spec": first})
        assert rows(here.opskit("hotfix", "check", "--json").json)["test adequate"] is ok


def test_finish_merges_into_every_open_release_too(repos: Repos) -> None:
    project = production(repos)
    here = project.here
    assert here.opskit("release", "--prepare").code == 0
    assert here.opskit("hotfix", "start", "unicode").code == 0
    fix(here)
    assert here.opskit("hotfix", "approve", "--reviewer", "Ada").code == 0
    ran = here.opskit("hotfix", "finish", "--json")
    assert ran.code == 0, ran.err
    for branch in ("main", "develop", "release/v1.2.0"):
        assert here.git("merge-base", "v1.1.1", branch) == here.rev("v1.1.1^{commit}")
    assert here.refs() == project.remote.refs()
    assert here.opskit("release", "--json").json["version"] == "1.2.0"


def test_start_warns_when_main_or_a_target_is_not_at_the_release(repos: Repos) -> None:
    project = production(repos)
    here = project.here
    here.git("checkout", "-q", "main")
    here.commit("docs: on main")
    data = {"phase": "outcome", "target": "prod", "version": "1.0.0", "result": "done"}
    Ledger(Git(here.path)).append("deploy", data, subject="deploy 1.0.0")
    ran = here.opskit("hotfix", "start", "x", "--json")
    assert ran.code == 0, ran.err
    assert len(ran.json["warnings"]) == 2
    assert here.rev("hotfix/x") == here.rev("v1.1.0^{commit}")


def test_in_trunk_mode_a_hotfix_ships_nothing_that_waits_on_main(repos: Repos) -> None:
    project = repos.project(develop=False, config='[hotfix]\ntest_command = "grep -q fixed app.txt"\n')
    here = project.here
    assert here.opskit("hotfix", "start", "text").code == 0
    here.commit("fix: text", {"app.txt": "fixed\n", "tests/x": "x\n"})
    assert here.opskit("hotfix", "approve", "--reviewer", "Ada").code == 0
    ran = here.opskit("hotfix", "finish", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["tag"] == "v1.0.1"
    assert here.git("ls-tree", "--name-only", "v1.0.1", "rooms.txt") == ""
    assert here.git("ls-tree", "--name-only", "main", "rooms.txt") == "rooms.txt"
    assert (here.show("main:app.txt"), here.git("branch", "--show-current")) == ("fixed", "main")
    assert here.refs() == project.remote.refs()
    assert here.opskit("release", "--json").json["version"] == "1.1.0"


@pytest.mark.parametrize("args", [["check"], ["finish"], ["approve", "--reviewer", "Ada"]])
def test_without_an_open_hotfix_it_says_how_to_start_one(repos: Repos, args: list[str]) -> None:
    ran = repos.project().here.opskit("hotfix", *args, "--json")
    assert ran.code == 3
    assert "hotfix start" in json.loads(ran.out)["remedy"]
