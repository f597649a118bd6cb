"""`init`, `doctor`, `ledger`, `runbook`: what helps around a release."""

import json
import subprocess
from pathlib import Path

import pytest

from opskit.ci import run_command
from opskit.config import from_mapping, parse_toml
from tests.opskit.repos import Repo, Repos


def test_init_fills_in_what_it_sees_in_a_repository_that_is_not_python(repos: Repos) -> None:
    repo = repos.empty()
    files = {
        "package.json": '{"version": "2.1.0", "scripts": {"test": "mocha"}}',
        "CHANGES.md": "# Changes\n",
        "Makefile": "lint:\n\ttrue\n",
    }
    repo.commit("feat: begin", files)
    repo.git("branch", "-m", "master")
    repo.git("branch", "dev")
    repo.git("tag", "release-2.1.0")
    ran = repo.opskit("init", "--json")
    assert ran.code == 0, ran.err
    config = from_mapping(parse_toml(repo.path / "opskit.toml"))
    assert (config.main, config.develop, config.remote, config.tag_prefix) == ("master", "dev", "", "release-")
    assert (config.changelog, config.version_files) == ("CHANGES.md", ("package.json:version",))
    assert dict(config.ci.steps) == {"tests": "npm test", "lint": "make lint"}


def test_init_never_overwrites_unasked(repos: Repos) -> None:
    here = repos.project().here
    before = (here.path / "opskit.toml").read_text()
    assert here.opskit("init", "--yes").code == 3
    assert here.opskit("init", "--dry-run").code == 0
    assert (here.path / "opskit.toml").read_text() == before
    assert here.opskit("init", "--overwrite").code == 0


def test_init_works_before_the_first_commit(repos: Repos) -> None:
    assert repos.empty().opskit("init").code == 0


def test_a_release_after_init_in_a_repository_that_is_not_python(repos: Repos) -> None:
    repo = repos.empty()
    repo.commit("feat: begin", {"VERSION": "0.0.0\n", "go.mod": "module x\n"})
    assert repo.opskit("init").code == 0
    repo.git("add", "opskit.toml")
    repo.commit(
        "chore: opskit", {"opskit.toml": (repo.path / "opskit.toml").read_text().replace("go test ./...", "true")}
    )
    ran = repo.opskit("release", "--json")
    assert (ran.code, ran.json["version"]) == (0, "0.1.0"), ran.err
    assert repo.show("v0.1.0:VERSION") == "0.1.0"
    assert "Begin" in repo.show("v0.1.0:CHANGELOG.md")


def test_doctor_finds_nothing_in_a_sound_project(repos: Repos) -> None:
    ran = repos.project().here.opskit("doctor", "--json")
    assert ran.code == 0, ran.out
    assert {"git", "python", "configuration", "remote", "clock", "ledger"} <= {f["check"] for f in ran.json["findings"]}


def test_doctor_names_commits_of_main_that_develop_lacks(repos: Repos) -> None:
    here = repos.project().here
    here.git("checkout", "-q", "main")
    here.commit("fix: only on main")
    ran = here.opskit("doctor", "--json")
    assert ran.code == 1
    [finding] = [f for f in ran.json["findings"] if not f["ok"]]
    assert "only on main" in finding["detail"]
    assert "git merge main" in finding["remedy"]


def test_doctor_reports_a_faulty_configuration_and_an_unreachable_remote_as_findings(repos: Repos) -> None:
    here = repos.project().here
    here.git("remote", "set-url", "origin", "/nowhere.git")
    assert [f["check"] for f in here.opskit("doctor", "--json").json["findings"] if not f["ok"]] == ["remote"]
    here.write("opskit.toml", "nonsense = 1\n")
    assert here.opskit("doctor").code == 1


def test_the_ledger_is_shown_verified_and_exported(repos: Repos) -> None:
    here = repos.project().here
    assert here.opskit("release").code == 0
    shown = here.opskit("ledger", "show", "--kind", "release", "--json").json["events"]
    assert [event["data"]["tag"] for event in shown] == ["v1.1.0"]
    assert "release v1.1.0" in here.opskit("ledger").out
    assert here.opskit("ledger", "verify").code == 0
    lines = here.opskit("ledger", "export").out.splitlines()
    assert {json.loads(line)["kind"] for line in lines} == {"release"}
    here.git("update-ref", "refs/opskit/ledger", "main")
    bad = here.opskit("ledger", "verify", "--json")
    assert (bad.code, bad.json["ok"], len(bad.json["faults"]) > 0, bad.json["exit_code"]) == (1, False, True, 1)


@pytest.mark.parametrize("name", ["release", "hotfix"])
def test_a_runbook_is_listed_and_shown(repos: Repos, name: str) -> None:
    repo = repos.empty()
    assert name in [page["name"] for page in repo.opskit("runbook", "list", "--json").json["runbooks"]]
    assert "**Signal**" in repo.opskit("runbook", "show", name).out
    assert repo.opskit("runbook", "show", "nonsense").code == 2


def test_a_runbook_is_run_as_far_as_it_does_not_depend_on_what_happens(repos: Repos) -> None:
    project = repos.project()
    here = project.here
    before = here.refs()
    planned = ["opskit status", "opskit release --dry-run", "opskit release"]
    shown = here.opskit("runbook", "run", "release", "--dry-run", "--json").json
    assert shown["steps"] == [{"command": command, "exit_code": None} for command in planned]
    assert here.refs() == before
    ran = here.spawned("runbook", "run", "release", "--json")
    assert (ran.code, [step["exit_code"] for step in ran.json["steps"]]) == (0, [0, 0, 0])
    assert "refs/tags/v1.1.0" in project.remote.refs()
    again = here.spawned("runbook", "run", "release", "--json")
    assert (again.code, [step["exit_code"] for step in again.json["steps"]]) == (3, [0, 3])
    assert here.opskit("runbook", "run", "nonsense").code == 2


def test_status_names_a_half_done_release(repos: Repos) -> None:
    here = repos.project().here
    here.write(".git/opskit/operation.jsonl", '{"step": "call", "phase": "fact", "data": {"verb": "release"}}\n')
    assert here.opskit("status", "--json").json["operation"]["kind"] == "release"
    ran = here.opskit("release", "--json")
    assert (ran.code, "half-done" in ran.json["error"]) == (3, True)
    assert here.opskit("release", "--abort").code == 0
    assert here.opskit("status", "--json").json["operation"] is None


def test_the_shell_completes_verbs_and_their_commands(repos: Repos) -> None:
    def completed(words: str, place: int) -> list[str]:
        asked = {"_OPSKIT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(place)}
        return Repo(repos.folder, repos.env).opskit(env=asked).out.split()

    assert completed("opskit rel", 1) == ["release"]
    assert {"start", "check", "approve", "reject", "finish"} <= set(completed("opskit hotfix ", 2))


def test_an_interrupt_in_the_moment_a_step_ends_is_an_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = subprocess.Popen.wait

    def interrupted(process: "subprocess.Popen[bytes]") -> int:
        wait(process)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_command("true", tmp_path, log=tmp_path / "log")
