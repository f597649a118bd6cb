"""`opskit drill` up to where it would start something, and the patches it brings."""

from pathlib import Path

import pytest

from opskit.drill.sandbox import PATCHES, remove, sandbox
from tests.opskit.repos import Repos

SCENARIOS = ["coffee", "bad-deploy"]


def test_the_list_names_each_scenario_with_a_line(repos: Repos) -> None:
    here = repos.empty()
    assert [one["name"] for one in here.opskit("drill", "--list", "--json").json["scenarios"]] == SCENARIOS
    assert [line.split()[0] for line in here.opskit("drill", "--list").out.splitlines()] == SCENARIOS


def test_an_unknown_scenario_is_2_and_names_those_there_are(repos: Repos) -> None:
    ran = repos.empty().opskit("drill", "tea")
    assert ran.code == 2
    assert "'tea'" in ran.err
    assert "coffee, bad-deploy" in ran.err


def test_practice_without_a_terminal_is_refused(repos: Repos) -> None:
    ran = repos.empty().opskit("drill", "--practice", "--json")
    assert (ran.code, ran.json["exit_code"]) == (3, 3)
    assert "no terminal" in ran.err


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_dry_run_names_every_step_and_makes_nothing(repos: Repos, name: str) -> None:
    ran = repos.empty().opskit("drill", name, "--dry-run", "--json")
    assert ran.code == 0
    assert ran.json["steps"][0]["command"] == "opskit release 1.0.0 --yes"
    assert "sandbox" not in ran.json


def test_the_patches_fit_the_chat_as_it_is() -> None:
    with sandbox() as place:
        try:
            for name in ("coffee-fault", "coffee-test", "coffee-fix", "bad-deploy-fault"):
                place.commit_patch(name)
            assert place.git.text("log", "-1", "--format=%an %s").startswith("Drill feat(rooms): ")
            assert {path.stem for path in PATCHES.glob("*")} == {
                "project", "coffee-fault", "coffee-test", "coffee-fix", "bad-deploy-fault",
            }  # fmt: skip
        finally:
            remove(place)
    assert not Path(place.root).exists()
