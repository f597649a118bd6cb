"""`opskit rollback` for real: to the parked release at once, to a retained one, or a clear no."""

import time
from collections.abc import Callable

import pytest

from opskit.deploy.control import BakeState
from tests.opskit.deploy.shop import PYTHON, Load, Shop, wait_for


@pytest.fixture
def upgraded(running: Shop) -> Shop:
    """v1.0.0, then v1.1.0 in service."""
    running.commit("v1.1.0")
    assert running.deploy().code == 0
    return running


def rollback(shop: Shop, *args: str) -> tuple[int, dict[str, object]]:
    ran = shop.opskit("rollback", "--reason", "500s", "--json", *args)
    return ran.code, ran.last


def test_a_rollback_returns_to_the_parked_release_and_keeps_the_bad_one(upgraded: Shop) -> None:
    ran = upgraded.opskit("rollback", "--reason", "500s on the chat endpoint")
    assert ran.code == 0, ran.err
    assert upgraded.serves == "1.0.0"
    assert ran.out.index("return to parked") < ran.out.index("Status") < ran.out.index("Next steps")
    assert "500s on the chat endpoint" in ran.out
    kept = {path.name.split("-")[0] for path in (upgraded.state_dir / "releases").iterdir()}
    assert kept == {"1.0.0", "1.1.0"}
    code, last = rollback(upgraded)
    assert code == 3
    assert "no earlier release" in str(last["error"])


@pytest.mark.slow
def test_a_rollback_goes_past_what_a_rollback_has_left(upgraded: Shop) -> None:
    upgraded.commit("v1.2.0")
    assert upgraded.deploy().code == 0
    assert rollback(upgraded)[1]["release"] == "1.1.0"
    assert rollback(upgraded)[1]["release"] == "1.0.0"
    assert rollback(upgraded)[0] == 3
    code, last = rollback(upgraded, "--to", "v1.2.0")
    assert (code, last["release"], upgraded.serves) == (0, "1.2.0", "1.2.0")


@pytest.mark.slow
def test_a_rollback_names_what_it_cannot_reach(upgraded: Shop) -> None:
    assert "is what runs" in str(rollback(upgraded, "--to", "1.1.0")[1]["error"])
    assert "there is 1.0.0" in str(rollback(upgraded, "--to", "0.9.0")[1]["error"])
    assert "--reason is missing" in upgraded.opskit("rollback", "--json").last["error"]
    upgraded.opskit("stop")
    assert "nothing is in service" in str(rollback(upgraded)[1]["error"])


@pytest.mark.slow
@pytest.mark.alone
def test_the_first_answer_after_a_rollback_comes_in_time(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(smoke="")
    for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
        if version != "v1.0.0":
            shop.commit(version)
        assert shop.deploy().code == 0
    for wanted, limit_s in (("1.1.0", 1.0), ("1.0.0", 6.0)):  # parked, then retained
        began = time.monotonic()
        ran = shop.opskit("rollback", "--reason", "slow", "--json")
        assert ran.code == 0, ran.err
        spent = {line["step"]: line["seconds"] for line in ran.lines if "step" in line}
        first = (
            spent.get("return to parked", 0) + spent.get("start", 0) + spent.get("health", 0) + spent.get("cut over", 0)
        )
        print(f"rollback to {wanted}: {first:.2f} s to the first answer, {time.monotonic() - began:.2f} s in all")
        assert shop.serves == wanted
        assert first < limit_s


@pytest.mark.slow
def test_a_release_that_no_longer_serves_is_not_rolled_back_to(upgraded: Shop) -> None:
    upgraded.commit("v1.2.0")
    assert upgraded.deploy().code == 0
    left = next((upgraded.state_dir / "releases").glob("1.0.0-*")) / "fault.txt"
    left.chmod(0o644)
    left.write_text("crash_at_once")
    code, last = rollback(upgraded, "--to", "1.0.0")
    assert code == 5
    assert "1.2.0 is in service as before" in str(last["error"])
    assert upgraded.serves == "1.2.0"


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("way", ["deploy", "rollback"])
def test_two_thousand_requests_pass_while_releases_change(upgraded: Shop, way: str) -> None:
    with Load(upgraded.url, per_s=200) as load:
        wait_for(lambda: load.answered > 200)
        if way == "deploy":
            upgraded.commit("v1.2.0")
            assert upgraded.deploy().code == 0
        else:
            assert rollback(upgraded)[0] == 0
        wait_for(lambda: load.answered + len(load.failed) >= 2000, within_s=60)
    print(f"{way}: {load.answered} answered, {len(load.failed)} failed, slowest {load.slowest_s * 1000:.0f} ms")
    assert load.failed == []
    assert load.slowest_s < 2


def test_a_bake_that_fails_puts_the_release_before_back(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(bake_minutes=1, smoke="")
    assert shop.deploy("--no-wait").code == 0
    shop.commit("v1.1.0")
    assert shop.deploy("--no-wait").last["result"] == "done"
    bake = shop.status.bake
    assert bake is not None
    assert bake.state == BakeState.BAKING
    running = shop.status.running
    assert running is not None
    shop.crash_until_rolled_back()
    assert shop.serves == "1.0.0"
    code, last = rollback(shop)
    assert code == 3, last
    told = (shop.state_dir / "history.jsonl").read_text()
    assert '"rolled_back"' in told
    (incident,) = shop.opskit("status", "--json").last["incidents"]
    assert (incident["name"], incident["state"]) == ("INC-001", "draft")
    assert incident["title"] == "1.1.0 crashed on local and was rolled back"


@pytest.mark.slow
def test_a_bake_is_followed_to_its_end(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(bake_minutes=0.05, smoke=f"{PYTHON} smoke.py {{url}}")
    ran = shop.deploy()
    assert (ran.code, ran.steps["bake"], ran.last["result"]) == (0, "done", "done")
