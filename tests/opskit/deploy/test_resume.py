"""`kill -9` of `opskit deploy` after every step: production serves one whole release, and both ways out end well."""

import json
import signal
import subprocess
import time
from collections.abc import Sequence

import pytest

from opskit.deploy.operation import half_done
from tests.opskit.deploy.shop import PYTHON, Shop, wait_for

STEPS = ["export", "build", "start", "health", "smoke", "cut over", "smoke in public", "version", "record"]


def kill_in(shop: Shop, step: str, phase: str, *, call: Sequence[str] = ("deploy",)) -> None:
    """Run a deploy and kill it as soon as its journal says that *step* has started or finished."""
    with subprocess.Popen(
        [PYTHON, "-m", "opskit", *call],
        cwd=shop.path,
        env=shop.call_env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        journal = shop.state_dir / "operation.jsonl"
        mark = f'"{phase}": "{step}"'

        def seen() -> bool:
            try:
                return mark in journal.read_text()
            except FileNotFoundError:
                return False

        deadline = time.monotonic() + 20
        while not seen() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.0005)
        child.send_signal(signal.SIGKILL)


def is_one_whole_release(shop: Shop) -> bool:
    return shop.serves in {"1.0.0", "1.1.0"}


@pytest.mark.parametrize("way", ["--resume", "--abort"])
@pytest.mark.parametrize(
    ("step", "phase"),
    [
        pytest.param(step, phase, marks=[] if (step, phase) == ("cut over", "started") else [pytest.mark.slow])
        for step in STEPS
        for phase in ("started", "finished")
        if (step, phase) != ("record", "finished")
    ],
)
def test_a_deploy_killed_at_any_step_ends_well_either_way(running: Shop, step: str, phase: str, way: str) -> None:
    running.configure(build="echo built > built.txt")
    running.commit("v1.1.0")
    kill_in(running, step, phase)
    assert is_one_whole_release(running)
    half = half_done(running.state_dir / "operation.jsonl")
    if half is None:  # it was killed between its last record and its end
        assert running.serves == "1.1.0"
        return
    assert (half.intent.kind, half.intent.version) == ("deploy", "1.1.0")
    told = running.opskit("status", "--json").last["operation"]
    assert (told["kind"], told["release"]) == ("deploy", "1.1.0")
    refused = running.deploy()
    assert refused.code == 3
    assert "half-done deploy of 1.1.0" in refused.last["error"]
    for dry in (running.deploy(way, "--dry-run"), running.deploy(way, "--dry-run")):
        assert (dry.code, set(dry.steps.values())) == (0, {"planned"})
    ran = running.deploy(way)
    assert ran.code == 0, ran.err
    assert set(dry.steps) - {"put back"} <= set(ran.steps)
    assert running.serves == ("1.1.0" if way == "--resume" else "1.0.0")
    assert running.status.candidate is None
    assert half_done(running.state_dir / "operation.jsonl") is None
    assert running.deploy().code == 0


@pytest.mark.slow
@pytest.mark.parametrize("way", ["--resume", "--abort"])
@pytest.mark.parametrize(
    ("to", "step", "phase"),
    [
        ("1.1.0", "return to parked", "started"),
        ("1.1.0", "return to parked", "finished"),
        ("1.0.0", "start", "finished"),
        ("1.0.0", "cut over", "finished"),
    ],
)
def test_a_rollback_killed_at_any_step_ends_well_either_way(
    running: Shop, to: str, step: str, phase: str, way: str
) -> None:
    for version in ("v1.1.0", "v1.2.0"):
        running.commit(version)
        assert running.deploy().code == 0
    kill_in(running, step, phase, call=("rollback", "--to", to, "--reason", "500s"))
    assert running.serves in {"1.2.0", to}
    told = running.opskit("status", "--json").last["operation"]
    assert (told["kind"], told["release"]) == ("rollback", to)
    ran = running.deploy(way)
    assert ran.code == 0, ran.err
    assert running.serves == (to if way == "--resume" else "1.2.0")
    assert running.status.candidate is None
    assert half_done(running.state_dir / "operation.jsonl") is None
    again = running.opskit("rollback", "--reason", "again", "--json")
    resumed_to_parked = way == "--resume" and to == "1.1.0"
    assert (again.code, again.last.get("release")) == (0, "1.0.0" if resumed_to_parked else "1.1.0"), again.err


@pytest.mark.slow
def test_a_first_deploy_that_is_taken_back_leaves_nothing_running(shop: Shop) -> None:
    kill_in(shop, "cut over", "finished")
    ran = shop.deploy("--abort")
    assert ran.code == 0, ran.err
    assert not shop.control.alive()


def _at_smoke(shop: Shop, *before: str) -> "subprocess.Popen[str]":
    """A deploy of v1.1.0 that waits in its smoke until `go` is there; *before* is the command it is started with."""
    shop.configure(smoke="touch $DATA_DIR/at-smoke; while [ ! -e $DATA_DIR/go ]; do sleep 0.05; done")
    shop.commit("v1.1.0")
    child = subprocess.Popen(
        [*before, PYTHON, "-m", "opskit", "deploy", "--json"],
        cwd=shop.path,
        env=shop.call_env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for((shop.state_dir / "at-smoke").exists)
    return child


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_deploy_puts_itself_back(running: Shop, number: int) -> None:
    with _at_smoke(running) as child:
        child.send_signal(number)
        told, said = child.communicate(timeout=30)
    assert (child.returncode, "Traceback" in said) == (130, False)
    last = json.loads(told.splitlines()[-1])
    assert [last[key] for key in ("release", "previous", "result", "exit_code")] == ["1.1.0", "1.0.0", "failed", 130]
    assert running.serves == "1.0.0"
    assert running.status.candidate is None
    assert half_done(running.state_dir / "operation.jsonl") is None


@pytest.mark.slow
def test_a_deploy_under_nohup_outlives_its_terminal(running: Shop) -> None:
    with _at_smoke(running, "nohup") as child:
        child.send_signal(signal.SIGHUP)
        (running.state_dir / "go").touch()
        child.communicate(timeout=30)
    assert child.returncode == 0
    assert running.serves == "1.1.0"
