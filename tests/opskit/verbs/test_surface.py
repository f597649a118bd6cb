"""What every command has in common, and what `status` and `doctor` say in odd places."""

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from opskit.cli import VERBS, app
from opskit.git.runner import Git
from opskit.ledger import Ledger
from tests.opskit.repos import Repo, Repos

_CHANGING = [
    ("changelog",), ("deploy",), ("rollback",), ("start",), ("stop",), ("restart",), ("maintenance",), ("unlock",),
    ("target", "install"), ("target", "uninstall"), ("ci",), ("release",), ("undo",), ("init",), ("hotfix", "start"),
    ("hotfix", "check"), ("hotfix", "approve"), ("hotfix", "reject"), ("hotfix", "finish"), ("ledger", "sync"),
    ("security-review",), ("drill",),
    ("runbook", "run"), *(("incident", act) for act in ("open", "note", "assess", "mitigate", "resolve")),
    ("postmortem",), *(("actions", act) for act in ("add", "edit", "done", "verify")),
]  # fmt: skip


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its words; a group that does something by itself is one too."""
    context = None
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = getattr(command, "list_commands", None)
        if inner is None or command.invoke_without_command:
            yield (*path, name), command
        if inner is not None:
            yield from _commands(command, (*path, name))


COMMANDS = dict(_commands(get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_json_and_an_example(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    assert f"Example: opskit {' '.join(words)}" in command.help


@pytest.mark.parametrize("words", _CHANGING, ids=" ".join)
def test_every_changing_command_has_a_dry_run_and_goes_on_with_yes(words: tuple[str, ...]) -> None:
    options = {option for parameter in COMMANDS[words].params for option in parameter.opts}
    assert {"--dry-run", "--yes"} <= options


def test_the_list_of_commands_is_whole() -> None:
    assert {words[0] for words in COMMANDS} | {"hotfix", "target"} == set(VERBS)


@pytest.mark.parametrize(("call", "field"), [(["ledger"], "events"), (["runbook"], "runbooks")])
def test_a_group_called_alone_answers_in_json_too(repos: Repos, call: list[str], field: str) -> None:
    assert field in repos.project().here.opskit(*call, "--json").json


def test_status_and_doctor_in_a_shallow_clone_say_what_they_cannot_tell(repos: Repos) -> None:
    project = repos.project()
    Repo(repos.folder, repos.env).git("clone", "-q", "--depth=1", project.remote.path.as_uri(), "shallow")
    shallow = Repo(repos.folder / "shallow", repos.env)
    told = shallow.opskit("status", "--json")
    assert (told.code, told.json["version"]) == (0, {"current": None, "next": None})
    assert "git fetch --unshallow --tags" in told.err
    findings = {finding["check"]: finding for finding in shallow.opskit("doctor", "--json").json["findings"]}
    assert (findings["history"]["ok"], "back-merge" in findings) == (False, False)


def test_status_before_the_first_commit(repos: Repos) -> None:
    told = repos.empty().opskit("status", "--json")
    assert (told.code, told.json["version"]) == (0, {"current": None, "next": None})


def test_status_lists_the_actions_that_are_overdue_only(repos: Repos) -> None:
    here = repos.project().here
    book = Ledger(Git(here.path))
    for number, (due, state) in enumerate([("2024-01-01", "open"), ("2999-01-01", "open"), ("2024-01-01", "done")]):
        data = {"name": f"ACT-{number}", "title": f"of {due}, {state}", "due": due, "state": state}
        book.append("action", data, subject="action")
    assert [action["title"] for action in here.opskit("status", "--json").json["actions"]] == ["of 2024-01-01, open"]


def test_a_dry_run_of_ci_names_commit_and_steps_and_runs_none(repos: Repos) -> None:
    here = repos.project(config='[ci]\ntests = "false"\n').here
    ran = here.opskit("ci", "--dry-run", "--json")
    assert (ran.code, ran.json["sha"], ran.json["steps"]) == (0, here.rev("HEAD"), ["tests"])
    assert here.opskit("ci", "nonsense", "--dry-run").code == 2


def test_a_dry_run_of_hotfix_check_measures_nothing(repos: Repos) -> None:
    here = repos.project(config='[hotfix]\ntest_command = "touch ran"\n').here
    assert here.opskit("hotfix", "start", "x").code == 0
    tip = here.commit("fix: x", {"tests/test_x.py": "\n"})
    ran = here.opskit("hotfix", "check", "--dry-run", "--json")
    assert (ran.code, ran.json["sha"], [row["ok"] for row in ran.json["rows"]]) == (0, tip, [None] * 4)
    assert "hotfix_check" not in here.opskit("ledger", "--json").out
