"""A release that does not go when asked: a stack dump, then the kill; and a bake that a newer deploy ends."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from opskit.deploy.control import BakeState
from tests.opskit.deploy.shop import PYTHON, Shop, wait_for
from tests.opskit.deploy.test_stop import RED_IN_PUBLIC, gone

STACK = "Fatal Python error: Aborted"


def log(shop: Shop) -> str:
    return (shop.state_dir / "logs" / "service.log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_an_old_release_that_ignores_sigterm_prints_its_stack_and_is_gone(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(smoke="", drain_s=0.2)
    shop.commit("v1.0.1", fault="ignore_term")
    assert shop.deploy().code == 0
    old = shop.status.running
    assert old is not None
    for version in ("v1.1.0", "v1.2.0"):
        shop.commit(version)
        assert shop.deploy().code == 0
        assert shop.serves == version[1:]
    wait_for(lambda: gone(old.pid), within_s=15)
    assert STACK in log(shop)
    assert "service.py" in log(shop).partition(STACK)[2]
    assert shop.serves == "1.2.0"


@pytest.mark.slow
@pytest.mark.parametrize("step", ["smoke", "smoke in public"])
def test_a_failed_release_that_ignores_sigterm_leaves_production_on_the_old_one(
    make_shop: Callable[..., Shop], step: str
) -> None:
    shop = make_shop(drain_s=0.2)
    assert shop.deploy().code == 0
    if step == "smoke in public":
        shop.configure(smoke=f"{RED_IN_PUBLIC} :{shop.port}", drain_s=0.2)
    shop.commit("v1.1.0", fault="ignore_term" if step == "smoke in public" else "ignore_term answer_500")
    ran = shop.deploy()
    assert (ran.code, ran.steps[step], ran.steps["put back"]) == (5, "failed", "done")
    assert shop.serves == "1.0.0"
    assert shop.status.candidate is None
    shop.configure(smoke="", drain_s=0.2)
    shop.commit("v1.2.0")
    assert shop.deploy().code == 0
    wait_for(lambda: STACK in log(shop), within_s=15)
    assert shop.opskit("stop").code == 0
    assert shop.serves == ""


@pytest.mark.slow
def test_a_deploy_that_follows_its_bake_says_so_when_a_newer_one_ends_it(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(bake_minutes=5, smoke="")
    with subprocess.Popen(
        [PYTHON, "-m", "opskit", "deploy", "--json"], cwd=shop.path, env=shop.call_env,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as older:  # fmt: skip
        wait_for(lambda: shop.control.alive() and (bake := shop.status.bake) is not None and bake.state == "baking")
        shop.commit("v1.1.0")
        newer = shop.deploy("--no-wait")
        try:
            out, _ = older.communicate(timeout=20)
        finally:
            older.kill()
    assert (newer.code, newer.last["result"]) == (0, "done")
    lines = [json.loads(line) for line in out.splitlines()]
    assert older.returncode == 0
    assert (lines[-1]["release"], lines[-1]["result"]) == ("1.0.0", "superseded")
    assert [line["status"] for line in lines if line.get("step") == "bake"] == ["warning"]
    bake = shop.status.bake
    assert bake is not None
    assert (bake.state, bake.release.version) == (BakeState.BAKING, "1.1.0")


@pytest.mark.slow
def test_a_deploy_that_follows_its_bake_ends_when_the_target_is_stopped(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(bake_minutes=5, smoke="")
    with subprocess.Popen(
        [PYTHON, "-m", "opskit", "deploy"], cwd=shop.path, env=shop.call_env,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as older:  # fmt: skip
        wait_for(lambda: shop.control.alive() and (bake := shop.status.bake) is not None and bake.state == "baking")
        assert shop.opskit("stop").code == 0
        try:
            out, _ = older.communicate(timeout=20)
        finally:
            older.kill()
    assert older.returncode == 0
    assert "1.0.0 was in service and is superseded" in out


@pytest.mark.slow
def test_a_first_release_that_fails_its_bake_serves_on_and_the_deploy_says_so(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(bake_minutes=5, smoke="")
    with subprocess.Popen(
        [PYTHON, "-m", "opskit", "deploy", "--json"], cwd=shop.path, env=shop.call_env,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as first:  # fmt: skip
        wait_for(lambda: shop.control.alive() and (bake := shop.status.bake) is not None and bake.state == "baking")
        running = shop.status.running
        assert running is not None
        Path(running.release.dir, "fault.txt").chmod(0o644)
        Path(running.release.dir, "fault.txt").write_text("crash_at_once")
        os.kill(running.pid, signal.SIGKILL)
        try:
            out, _ = first.communicate(timeout=40)
        finally:
            first.kill()
    last = json.loads(out.splitlines()[-1])
    assert (first.returncode, last["result"]) == (1, "failed")
    assert "there is no release to go back to" in last["error"]
