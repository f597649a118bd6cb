"""Calls as people make them at three in the morning: too early, twice, wrong, into a pipe."""

import json
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from opskit.deploy.control import BakeState
from opskit.deploy.operation import half_done
from tests.opskit.deploy.shop import PYTHON, Shop, wait_for


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


@pytest.mark.slow
def test_stop_ends_a_target_whose_state_directory_was_removed(running: Shop) -> None:
    service = running.status.running
    assert service is not None
    shutil.rmtree(running.state_dir)
    planned = running.opskit("stop", "--dry-run", "--json")
    assert str(service.pid) in planned.last["plan"][0]
    ran = running.opskit("stop", "--json")
    assert (ran.code, ran.last["stopped"]) == (0, True), ran.err
    assert running.serves == ""


@pytest.mark.slow
def test_a_parked_release_whose_directory_was_removed_is_not_gone_back_to(running: Shop) -> None:
    for version in ("v1.1.0", "v1.2.0"):
        running.commit(version)
        assert running.deploy().code == 0
    parked = next((running.state_dir / "releases").glob("1.1.0-*"))
    shutil.rmtree(parked)
    ran = running.opskit("rollback", "--reason", "two\nlines", "--json")
    assert (ran.code, ran.last["release"], running.serves) == (0, "1.0.0", "1.0.0")


@pytest.mark.slow
def test_a_rollback_without_another_release_says_what_is_kept(running: Shop) -> None:
    ran = running.opskit("rollback", "--reason", "x", "--json")
    assert ran.code == 3
    assert "there is no earlier release on target local to go back to: only 1.0.0 is kept" in ran.last["error"]
    assert "--to" not in ran.last["remedy"]


@pytest.mark.slow
def test_a_rollback_that_has_only_left_releases_names_them(running: Shop) -> None:
    running.commit("v1.1.0")
    assert running.deploy().code == 0
    assert running.opskit("rollback", "--reason", "x").code == 0
    ran = running.opskit("rollback", "--reason", "x", "--json")
    assert ran.code == 3
    assert "a rollback has left 1.1.0" in ran.last["error"]
    assert 'opskit rollback --to 1.1.0 --reason "…"' in ran.last["remedy"]
    assert "parked: 1.1.0, left because of: x" in running.opskit("status").out
    again = running.opskit("deploy")
    assert (again.code, "! 1.1.0 was rolled back at 2" in again.out, ": x\n" in again.out) == (0, True, True)


@pytest.mark.slow
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
    for verb in ("deploy", "stop"):
        ran = shop.opskit(verb, "--json")
        assert (ran.code, ran.last["remedy"]) == (2, "opskit init writes one")
        assert "neither opskit.toml nor [tool.opskit] in pyproject.toml" in ran.last["error"]
        assert str(shop.path) in ran.last["error"]


def test_every_fault_of_a_target_is_told_at_once_before_anything_begins(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(
        bind="127.0.0.1:99999", start="python3 'service.py {prot}", smoke="check {host}", env={"DATA_DIR": "{statedir}"}
    )
    ran = shop.deploy()
    assert ran.code == 2
    for fault in (
        "targets.local.bind: '127.0.0.1:99999' must be HOST:PORT",
        'targets.local.start: "python3 \'service.py {prot}" is no command: No closing quotation',
        "targets.local.start: {prot} is no placeholder; there is {url} {port} {state_dir} {release_dir}",
        "targets.local.smoke: {host} is no placeholder",
        "targets.local.env.DATA_DIR: {statedir} is no placeholder",
    ):
        assert fault in ran.last["error"]
    assert not shop.state_dir.exists()


@pytest.mark.parametrize(
    "start", [f"{PYTHON} service.py", f"{PYTHON} service.py --port {{port}}"], ids=["socket", "port"]
)
@pytest.mark.slow
def test_every_placeholder_is_filled_in_the_environment_of_service_and_smoke(
    make_shop: Callable[..., Shop], start: str
) -> None:
    shop = make_shop(smoke='echo "$SEEN" > $DATA_DIR/smoke-saw', start=start)
    env = {"DATA_DIR": "{state_dir}", "SEEN": "{url} {release_dir} {state_dir}"}
    if "{port}" in start:
        env["PORT"] = "{port}"
    shop.configure(start=start, env=env, smoke='echo "$SEEN $PORT" > $DATA_DIR/smoke-saw')
    ran = shop.deploy()
    assert ran.code == 0, ran.err
    running = shop.status.running
    assert running is not None
    seen = f"{shop.url} {running.release.dir} {shop.state_dir}"
    pids = [running.pid, *map(int, Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split())]
    environ = Path(f"/proc/{pids[-1]}/environ").read_bytes().decode().split("\0")
    assert f"SEEN={seen}" in environ
    assert (shop.state_dir / "smoke-saw").read_text().startswith(seen)
    assert "{" not in "".join(line for line in environ if line.startswith("PORT="))
    assert "{" not in (shop.state_dir / "smoke-saw").read_text()


@pytest.mark.slow
def test_a_followed_bake_that_is_left_by_ctrl_c_is_a_warning_and_goes_on(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(bake_minutes=5, smoke="")
    with subprocess.Popen(
        [PYTHON, "-m", "opskit", "deploy", "--json"], cwd=shop.path, env=shop.call_env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        try:
            wait_for(lambda: baking(shop) and not (shop.state_dir / "lock.json").exists(), within_s=40)
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=20)
        finally:
            child.kill()
    lines = [json.loads(line) for line in out.splitlines()]
    assert child.returncode == 130
    assert (lines[-2]["step"], lines[-2]["status"]) in {("bake", "warning"), ("retire", "done")}
    assert (lines[-1]["release"], lines[-1]["result"]) == ("1.0.0", "done")
    assert "opskit status --target local" in err
    assert baking(shop)


@pytest.mark.slow
def test_a_remote_that_does_not_answer_holds_no_deploy_up(running: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        running.git("remote", "add", "origin", f"git://127.0.0.1:{silent.getsockname()[1]}/x.git")
        config = running.path / "opskit.toml"
        config.write_text(config.read_text().replace('remote = ""', 'remote = "origin"'))
        running.commit("v1.1.0")
        ran = running.deploy()
    assert (ran.code, running.serves) == (0, "1.1.0")
    assert "the ledger is kept here only: " in ran.err
    assert "no answer within 10 s" in ran.err


@pytest.mark.slow
def test_a_deploy_under_maintenance_is_checked_in_private_and_serves_when_it_ends(running: Shop) -> None:
    running.commit("v1.1.0")
    assert running.opskit("maintenance", "on").code == 0
    ran = running.deploy()
    assert (ran.code, ran.steps["smoke"], ran.steps["smoke in public"], ran.steps["version"]) == (
        0, "done", "skipped", "skipped",
    )  # fmt: skip
    assert running.serves == ""
    assert running.opskit("rollback", "--reason", "x").code == 0
    assert running.opskit("rollback", "--to", "1.1.0", "--reason", "x").code == 0
    assert running.opskit("maintenance", "off").code == 0
    assert running.serves == "1.1.0"


def baking(shop: Shop) -> bool:
    bake = shop.status.bake if shop.control.alive() else None
    return bake is not None and bake.state == BakeState.BAKING
