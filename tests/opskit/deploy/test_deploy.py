"""`opskit deploy` for real: a release goes into service, and one that is no good does not."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from opskit.deploy import history
from opskit.git.runner import Git
from opskit.ledger import Ledger
from tests.conftest import lacking
from tests.opskit.deploy.shop import PYTHON, Load, Shop, wait_for

IN_SERVICE = ["preflight", "export", "start", "health", "smoke", "cut over", "smoke in public", "version", "record"]


def test_a_release_goes_into_service_and_every_step_is_told(shop: Shop) -> None:
    ran = shop.deploy()
    assert ran.code == 0, ran.err
    assert list(ran.steps) == [*IN_SERVICE, "retire"]
    assert set(ran.steps.values()) == {"done"}
    told = {key: ran.last[key] for key in ("target", "release", "previous", "result")}
    assert told == {"target": "local", "release": "1.0.0", "previous": None, "result": "done"}
    assert shop.serves == "1.0.0"
    assert json.loads(shop.get("/version"))["commit"] == shop.git("rev-parse", "v1.0.0")
    people = shop.opskit("deploy")
    assert f"1.0.0 serves {shop.url}" in people.out
    assert str(shop.state_dir / "logs") in people.out
    assert people.out.rstrip().endswith("stop: opskit stop")


@pytest.mark.parametrize("kind", ["a tag of its name", "only fetched", "behind what was fetched"])
def test_the_newest_release_on_main_is_found(make_shop: Callable[..., Shop], kind: str) -> None:
    shop = make_shop()
    shop.commit("v1.1.0")
    if kind == "a tag of its name":
        shop.git("tag", "main", "v1.0.0")
    else:
        shop.git("update-ref", "refs/remotes/origin/main", "HEAD")
        shop.git("checkout", "-q", "--detach", "v1.0.0^{}", "--force")
        settings = (shop.path / "opskit.toml").read_text(encoding="utf-8")
        (shop.path / "opskit.toml").write_text(settings.replace('remote = ""', 'remote = "origin"'), encoding="utf-8")
        shop.git(*(("branch", "-D", "main") if kind == "only fetched" else ("branch", "-f", "main", "v1.0.0")))
    planned = shop.deploy("--dry-run")
    assert planned.code == 0, planned.err
    assert "into 1.1.0-" in next(line["does"] for line in planned.lines if line["step"] == "export")


@pytest.mark.slow
def test_what_the_smoke_said_is_told_once(make_shop: Callable[..., Shop]) -> None:
    people = make_shop(smoke="echo smoke: green, 3 checks").opskit("deploy")
    assert "✓ smoke: green, 3 checks" in people.out
    assert "smoke: smoke:" not in people.out


def test_a_release_directory_holds_the_commit_and_cannot_be_written(running: Shop) -> None:
    sha = running.git("rev-parse", "v1.0.0")
    directory = running.state_dir / "releases" / f"1.0.0-{sha[:12]}"
    assert (directory / "service.py").read_bytes() == (running.path / "service.py").read_bytes()
    assert not (directory / "service.py").stat().st_mode & 0o222


@pytest.mark.slow
def test_an_untagged_commit_is_deployed_under_what_git_describes(running: Shop) -> None:
    running.commit(note="more")
    (running.path / "untracked.txt").touch()
    ran = running.opskit("deploy", "HEAD")
    assert ran.code == 0, ran.err
    described = running.git("describe", "--tags").removeprefix("v")
    assert running.serves == described
    assert "1 changed or new file here is not part of it" in ran.out


def test_the_services_environment_holds_nothing_of_the_callers(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(env={"DATA_DIR": "{state_dir}/data", "HERE": "{release_dir}"})
    assert shop.opskit("deploy", env={"SECRET_OF_MINE": "x"}).code == 0
    running = shop.status.running
    assert running is not None
    told = Path(f"/proc/{running.pid}/environ").read_bytes().decode().split("\0")
    environ = dict(line.split("=", 1) for line in told if line)
    assert "SECRET_OF_MINE" not in environ
    assert environ["DATA_DIR"] == f"{shop.state_dir}/data"
    assert environ["HERE"] == running.release.dir


FAULTS = {
    "crash_at_once": "start: ",
    "crash_on_coffee": "a room named coffee",
    "wrong_version": "says version '9.9.9', not '1.1.0'",
    "never_ready": "start: ",
    "answer_500": "HTTP Error 500",
    "not_healthy": "failing: database",
    "leak": "exited with 137",
}
SLOW = {"never_ready", "answer_500", "not_healthy", "leak", "wrong_version"}


@pytest.mark.parametrize(
    ("fault", "named"),
    [pytest.param(*item, marks=[pytest.mark.slow] if item[0] in SLOW else [], id=item[0]) for item in FAULTS.items()],
)
def test_a_bad_release_leaves_production_on_the_old_one(make_shop: Callable[..., Shop], fault: str, named: str) -> None:
    shop = make_shop(ready_s=2)
    assert shop.deploy().code == 0
    before = shop.status.running
    shop.commit("v1.1.0", fault=fault)
    ran = shop.deploy()
    assert ran.code == 5
    assert named in ran.last["error"]
    assert "1.0.0 is in service as before" in ran.last["error"]
    assert (ran.last["result"], ran.last["previous"]) == ("failed", "1.0.0")
    assert shop.serves == "1.0.0"
    status = shop.status
    assert before is not None
    assert status.running is not None
    assert status.running.pid == before.pid
    assert status.candidate is None


def test_a_first_release_that_fails_leaves_nothing_running(shop: Shop) -> None:
    shop.commit("v1.1.0", fault="answer_500")
    ran = shop.deploy()
    assert ran.code == 3
    assert "no earlier release to go back to" in ran.last["error"]
    assert not shop.control.alive()
    assert shop.serves == ""


@pytest.mark.slow
def test_a_failed_deploy_to_a_stopped_target_leaves_it_stopped(running: Shop) -> None:
    assert running.opskit("stop").code == 0
    running.commit("v1.1.0", fault="answer_500")
    ran = running.deploy()
    assert ran.code == 5
    assert "the target was stopped before" in ran.last["error"]
    assert not running.control.alive()
    assert running.opskit("start").code == 0
    assert running.serves == "1.0.0"


@pytest.mark.slow
def test_a_failure_that_the_running_release_shares_is_told_apart(running: Shop) -> None:
    (running.path / "smoke.py").write_text('import sys; sys.exit("the mail server does not answer")')
    running.commit("v1.1.0")
    ran = running.deploy()
    assert ran.code == 5
    assert "1.0.0 fails it too at this moment" in ran.last["error"]


@pytest.mark.slow
def test_a_check_that_passes_at_the_second_try_is_a_warning(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(smoke="test -e $DATA_DIR/tried || { touch $DATA_DIR/tried; exit 1; }")
    ran = shop.deploy()
    assert ran.code == 0
    assert ran.steps["smoke"] == "warning"


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("nowhere",), 2, "'nowhere' names no commit"),
        (("--target", "moon"), 2, "no target 'moon'"),
        (("--resume",), 3, "nothing is half-done"),
        (("--abort",), 3, "nothing is half-done"),
        (("--resume", "HEAD"), 2, "go alone"),
    ],
)
def test_a_wrong_call_is_one_sentence(shop: Shop, args: tuple[str, ...], code: int, says: str) -> None:
    ran = shop.deploy(*args)
    assert (ran.code, says in ran.last["error"]) == (code, True), ran.last
    assert not (shop.state_dir / "operation.jsonl").exists()


def test_without_a_repository_a_commit_or_a_release_it_says_so(make_shop: Callable[..., Shop], tmp_path: Path) -> None:
    shop = make_shop()
    shop.git("tag", "-d", "v1.0.0")
    assert "there is no release on main yet" in shop.deploy().last["error"]
    plain = Shop(tmp_path / "plain", shop.home)
    plain.path.mkdir()
    plain.configure()
    assert "is not in a git repository" in plain.deploy().last["error"]
    plain.git("init", "-q", "-b", "main")
    ran = plain.deploy("HEAD")
    assert (ran.code, ran.last["error"]) == (2, "this repository has no commit yet")


def test_a_frozen_target_takes_only_what_breaks_the_glass(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(freeze=["2000-01-01 - 2099-12-31 Europe/Berlin"], require=["tag"])
    shop.commit(note="untagged")
    ran = shop.deploy("HEAD")
    assert ran.code == 3
    assert "is frozen by" in ran.last["error"]
    assert "has no version tag" in ran.last["error"]
    assert not shop.control.alive()
    ran = shop.deploy("HEAD", "--break-glass", "the shop is on fire")
    assert (ran.code, ran.steps["preflight"]) == (0, "warning")
    told = [event.data for event in Ledger(Git(shop.path)).read() if event.kind == "deploy"]
    assert [data["phase"] for data in told] == ["intent", "outcome"]
    assert told[1]["break_glass"] == "the shop is on fire"


def test_bad_configuration_is_told_at_once_and_nothing_begins(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(freeze=["sometimes"], keep=0, starts="x")
    ran = shop.deploy()
    assert ran.code == 2
    for key in ("freeze[0]", "keep", "starts"):
        assert f"targets.local.{key}" in ran.last["error"]


def test_a_taken_port_is_named_with_its_holder(shop: Shop) -> None:
    with subprocess.Popen([PYTHON, "-m", "http.server", str(shop.port)], stderr=subprocess.DEVNULL) as other:
        wait_for(lambda: shop_answers(shop))
        ran = shop.deploy()
        other.terminate()
    assert ran.code == 3
    assert f"is taken by process {other.pid}" in ran.last["error"]
    assert not shop.control.alive()


def shop_answers(shop: Shop) -> bool:
    try:
        return bool(shop.get())
    except OSError:
        return False


def test_a_second_deploy_at_once_is_told_who_holds_the_lock(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(smoke="touch $DATA_DIR/at-smoke; while test ! -e $DATA_DIR/go; do sleep 0.05; done")
    first = subprocess.Popen(
        [PYTHON, "-m", "opskit", "deploy"], cwd=shop.path, env=shop.call_env, stdout=subprocess.DEVNULL
    )
    wait_for((shop.state_dir / "at-smoke").exists)
    ran = shop.deploy()
    others = [shop.opskit(*verb, "--json") for verb in (("deploy", "--dry-run"), ("start",), ("stop",))]
    told = shop.opskit("status", "--json").last
    unlocked = shop.opskit("unlock", "--json")
    (shop.state_dir / "go").touch()
    assert first.wait(30) == 0
    assert ran.code == 3
    assert f"deploy of 1.0.0 by {os.environ.get('USER', 'root')}" in ran.last["error"]
    assert f"pid {first.pid}" in ran.last["error"]
    assert [(other.code, f"pid {first.pid}" in other.last["error"]) for other in others] == [(3, True)] * 3
    assert f"pid {first.pid}" in told["targets"][0]["lock"]
    assert told["operation"] is None
    assert unlocked.code == 3


def test_a_service_that_only_takes_a_port_is_deployed_too(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(start=f"{PYTHON} service.py --port {{port}}")
    assert shop.deploy().code == 0
    shop.commit("v1.1.0")
    with Load(shop.url, per_s=100) as load:
        wait_for(lambda: load.answered > 50)
        ran = shop.deploy()
    assert ran.code == 0, ran.err
    assert shop.serves == "1.1.0"
    assert load.failed == []


@pytest.mark.slow
def test_releases_beyond_keep_are_retired(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(keep=2, smoke="")
    for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
        if version != "v1.0.0":
            shop.commit(version)
        assert shop.deploy().code == 0
    kept = sorted(path.name.split("-")[0] for path in (shop.state_dir / "releases").iterdir())
    assert kept == ["1.1.0", "1.2.0"]


@pytest.mark.slow
def test_hooks_run_around_it_and_a_failing_one_before_it_stops_it(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(hooks={"pre_deploy": "echo not on Fridays; exit 7", "post_deploy": ""})
    ran = shop.deploy()
    assert ran.code == 3
    assert 'hooks.pre_deploy: exit code 7, it says "not on Fridays"' in ran.last["error"]
    shop.configure(hooks={"pre_deploy": "echo $OPSKIT_VERSION > before", "post_deploy": "echo done > after"})
    assert shop.deploy().code == 0
    assert (shop.path / "before").read_text().strip() == "1.0.0"
    assert (shop.path / "after").exists()


def test_a_build_runs_once_for_a_release_and_shares_its_environment(make_shop: Callable[..., Shop]) -> None:
    build = (
        'test -e "$OPSKIT_ENVIRONMENT_DIR/lib" || { mkdir "$OPSKIT_ENVIRONMENT_DIR/lib"; echo env >> $DATA_DIR/log; }'
    )
    shop = make_shop(build=f"{build}; echo built > built.txt")
    (shop.path / "requirements.lock").write_text("x==1")
    shop.commit("v1.1.0")
    assert shop.deploy().code == 0
    shop.commit("v1.2.0")
    assert shop.deploy().steps["build"] == "done"
    assert shop.deploy().steps["build"] == "skipped"
    assert (shop.state_dir / "log").read_text() == "env\n"
    running = shop.status.running
    assert running is not None
    assert (Path(running.release.dir) / "built.txt").read_text() == "built\n"


@pytest.mark.slow
def test_a_build_that_fails_changes_nothing_and_shows_its_output(running: Shop) -> None:
    running.configure(build="echo no compiler here; exit 3")
    running.commit("v1.1.0")
    ran = running.deploy()
    assert ran.code == 5
    assert "no compiler here" in ran.last["error"]
    assert running.serves == "1.0.0"


def test_a_dry_run_changes_nothing(shop: Shop) -> None:
    ran = shop.deploy("--dry-run")
    assert ran.code == 0
    assert list(ran.steps)[-1] == "retire"
    assert not shop.state_dir.exists()


def test_the_service_is_started_stopped_and_restarted(running: Shop) -> None:
    before = running.status.running
    assert running.opskit("restart").code == 0
    after = running.status.running
    assert before is not None
    assert after is not None
    assert after.pid != before.pid
    assert running.opskit("maintenance", "on").code == 0
    assert running.serves == ""
    assert running.opskit("maintenance", "off").code == 0
    assert running.serves == "1.0.0"
    assert "service 1.0.0 starts" in running.opskit("logs", "-n", "20").out
    assert running.opskit("stop").code == 0
    assert not running.control.alive()
    assert running.opskit("stop").code == 0
    assert running.opskit("start").code == 0
    assert running.serves == "1.0.0"


def test_history_and_result_know_what_was_in_service(running: Shop) -> None:
    running.commit("v1.1.0", fault="answer_500")
    running.deploy()
    told = [
        (entry.kind, entry.release.split("-")[0], entry.result)
        for entry in history.read(running.state_dir / "history.jsonl")
    ]
    assert told == [("deploy", "1.0.0", "done"), ("deploy", "1.1.0", "failed")]


@pytest.mark.slow
def test_another_user_without_permission_is_told_so(running: Shop) -> None:
    if os.getuid() != 0:
        lacking("only root can become another user", install="run the tests as root")
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", PYTHON, "-m", "opskit", "deploy"],
        cwd=running.path, env=running.call_env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in {2, 3}
    assert "Traceback" not in done.stderr
