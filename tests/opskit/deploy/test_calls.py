"""Calls as people make them at three in the morning: too early, twice, wrong, into a pipe."""

import json
import shutil
import subprocess
from collections.abc import Callable

import pytest

from opskit.deploy.operation import half_done
from tests.opskit.deploy.shop import PYTHON, Shop


@pytest.mark.parametrize("verb", [("restart",), ("maintenance", "on"), ("maintenance", "off"), ("rollback",)])
@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_what_needs_a_running_service_is_refused_without_one(
    shop: Shop, verb: tuple[str, ...], dry_run: tuple[str, ...]
) -> None:
    reason = ("--reason", "x") if verb == ("rollback",) else ()
    ran = shop.opskit(*verb, *reason, *dry_run, "--json")
    assert (ran.code, ran.last["error"]) == (3, "nothing is in service on target local")
    assert ran.last["remedy"] == "opskit start --target local, or opskit deploy --target local"
    assert not shop.state_dir.exists()


@pytest.mark.parametrize(
    ("call", "says", "remedy"),
    [
        (("maintenance", "maybe"), "'maybe'", "opskit maintenance --help"),
        (("logs", "-n", "-1"), "'-n' / '--lines'", "opskit logs --help"),
        (("deploy", "--nowait"), "--nowait", "opskit deploy --help"),
        (("target", "instal"), "instal", "opskit target --help"),
        (("rollback",), "--reason is missing", 'opskit rollback --reason "500s on the chat endpoint"'),
    ],
)
def test_a_wrong_call_is_told_as_json_too(shop: Shop, call: tuple[str, ...], says: str, remedy: str) -> None:
    ran = shop.opskit(*call, "--json")
    assert ran.code == 2
    assert says in ran.last["error"]
    assert (ran.last["schema"], ran.last["remedy"], ran.last["exit_code"]) == (1, remedy, 2)
    assert says in ran.err


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_deploy_whose_output_nobody_reads_goes_through(shop: Shop, options: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [PYTHON, "-m", "opskit", "deploy", *options], cwd=shop.path, env=shop.call_env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        said = child.stderr.read()
        assert child.wait(30) == 0, said
    assert "BrokenPipe" not in said
    assert shop.serves == "1.0.0"
    assert half_done(shop.state_dir / "operation.jsonl") is None


def test_stop_ends_a_target_whose_state_directory_was_removed(running: Shop) -> None:
    service = running.status.running
    assert service is not None
    shutil.rmtree(running.state_dir)
    planned = running.opskit("stop", "--dry-run", "--json")
    assert str(service.pid) in planned.last["plan"][0]
    ran = running.opskit("stop", "--json")
    assert (ran.code, ran.last["stopped"]) == (0, True), ran.err
    assert running.serves == ""


def test_a_rollback_without_another_release_says_what_is_kept(running: Shop) -> None:
    ran = running.opskit("rollback", "--reason", "x", "--json")
    assert ran.code == 3
    assert "there is no earlier release on target local to go back to: only 1.0.0 is kept" in ran.last["error"]
    assert "--to" not in ran.last["remedy"]


def test_a_rollback_that_has_only_left_releases_names_them(running: Shop) -> None:
    running.commit("v1.1.0")
    assert running.deploy().code == 0
    assert running.opskit("rollback", "--reason", "x").code == 0
    ran = running.opskit("rollback", "--reason", "x", "--json")
    assert ran.code == 3
    assert "a rollback has left 1.1.0" in ran.last["error"]
    assert 'opskit rollback --to 1.1.0 --reason "…"' in ran.last["remedy"]
    assert "parked: 1.1.0, left because of: x" in running.opskit("status").out


def test_restart_and_maintenance_say_in_a_dry_run_what_they_would_touch(running: Shop) -> None:
    for verb in (("restart",), ("maintenance", "on")):
        plan = json.loads(running.opskit(*verb, "--dry-run", "--json").out)["plan"][0]
        assert "1.0.0" in plan
        assert running.url in plan


@pytest.mark.slow
def test_after_a_release_was_deployed_twice_a_rollback_goes_to_the_one_before_it(running: Shop) -> None:
    running.commit("v1.1.0")
    for _ in range(2):
        assert running.deploy().code == 0
    assert "opskit rollback returns to it at once" not in running.opskit("status").out
    ran = running.opskit("rollback", "--reason", "x", "--json")
    assert (ran.code, ran.last["release"], running.serves) == (0, "1.0.0", "1.0.0")


@pytest.mark.slow
def test_a_half_done_deploy_is_named_before_anything_else_also_in_a_dry_run(running: Shop) -> None:
    intent = {"id": "01X", "kind": "deploy", "version": "1.1.0", "commit": "c" * 40, "target": "local"}
    (running.state_dir / "operation.jsonl").write_text(json.dumps({"intent": intent}) + "\n")
    for call in (("deploy",), ("rollback", "--reason", "x"), ("restart",)):
        for dry_run in ((), ("--dry-run",)):
            ran = running.opskit(*call, *dry_run, "--json")
            assert ran.code == 3
            assert "target local has a half-done deploy of 1.1.0" in ran.last["error"]
            assert "opskit deploy --resume --target local" in ran.last["remedy"]


def test_a_dry_run_says_what_would_be_refused(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(require=["tag"])
    shop.commit(note="more")
    ran = shop.deploy("HEAD", "--dry-run")
    assert ran.code == 3
    assert 'target local requires "tag"' in ran.last["error"]
    assert not shop.state_dir.exists()
    assert shop.deploy("HEAD", "--dry-run", "--break-glass", "fire").code == 0


def test_a_repository_without_configuration_is_told_where_one_was_looked_for(shop: Shop) -> None:
    (shop.path / "opskit.toml").unlink()
    for verb in ("deploy", "start", "stop", "logs"):
        ran = shop.opskit(verb, "--json")
        assert (ran.code, ran.last["remedy"]) == (2, "opskit init writes one")
        assert "neither opskit.toml nor [tool.opskit] in pyproject.toml" in ran.last["error"]
        assert str(shop.path) in ran.last["error"]
