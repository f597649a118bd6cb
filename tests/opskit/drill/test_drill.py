"""`opskit drill` up to where it would start something, and the patches it brings."""

import io
import shutil
from pathlib import Path

import pytest

from opskit.drill.runner import Scenario, Step
from opskit.drill.sandbox import PATCHES, remove, sandbox
from opskit.errors import Bad
from opskit.report import Report
from opskit.verbs.drill import carry_out
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


def test_a_step_that_fails_is_1_names_itself_and_leaves_the_files() -> None:
    out = io.StringIO()
    with pytest.raises(Bad, match="stopped at step 1, fail: expected exit code 0; saw exit code 3") as bad:
        carry_out(
            Scenario(name="tea", title="tea", steps=[Step(goal="fail", command="exit 3")]),
            Report(as_json=True, out=out, err=io.StringIO()), practice=False, keep=False,
        )  # fmt: skip
    told = bad.value.fields
    place = Path(str(told["sandbox"]))
    assert (bad.value.exit_code, told["result"], told["steps"], told["scenario"]) == (1, "failed", 1, "tea")
    assert str(place) in bad.value.remedy
    assert (place / "chat" / "opskit.toml").is_file()
    shutil.rmtree(place)


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
