"""The real chat in releases that die: of a leak, in the bake, again and again. Production ends where it was."""

import contextlib
import json
import os
import signal
import sys
import urllib.error
from pathlib import Path

import pytest

from opskit import telemetry
from opskit.deploy.control import BakeState, ChildState
from tests.e2e.test_make_run import STATE, Clone, clone, share_installed_packages
from tests.opskit.deploy.shop import wait_for

__all__ = ["clone"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
OPSKIT = str(Path(sys.executable).with_name("opskit"))
OPENED = '        log.info("serve.open")\n'
# What the kernel does to a process that has taken all there is.
LEAK = """\
        def leak(kept: list[bytearray]) -> None:
            while len(kept) < 60:
                kept.append(bytearray(b"leak" * (1 << 20)))
                __import__("time").sleep(0.02)
            os.kill(os.getpid(), signal.SIGKILL)

        __import__("threading").Thread(target=leak, args=([],), daemon=True).start()
"""


@pytest.fixture
def running(clone: Clone) -> Clone:
    """The chat in service, with a bake of five minutes from the next deploy on."""
    share_installed_packages(clone)
    done = clone.run(OPSKIT, "deploy", "HEAD", "--yes")
    assert done.returncode == 0, done.stdout
    project = clone.path / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    project.write_text(text.replace("\nkeep = 5\n", "\nkeep = 5\nbake_minutes = 5\n"), encoding="utf-8")
    assert clone.run("git", "commit", "-qam", "chore: a bake").returncode == 0
    return clone


def kill_until(clone: Clone, state: ChildState | None) -> None:
    """`kill -9` each process of the running release until it is in *state*, or (None) another release runs."""
    first = clone.control.status().running
    assert first is not None

    def over() -> bool:
        now = clone.control.status().running
        assert now is not None
        if now.state is state or (state is None and now.release != first.release):
            return True
        if now.pid and now.state is ChildState.PUBLIC:
            with contextlib.suppress(ProcessLookupError):
                os.kill(now.pid, signal.SIGKILL)
        return False

    wait_for(over, within_s=90)


def events(clone: Clone, name: str) -> list[dict[str, object]]:
    return [entry for entry in telemetry.read(clone.home / STATE) if entry["event"] == name]


def test_a_release_that_leaks_memory_until_it_dies_never_stays(running: Clone) -> None:
    before = running.control.status().running
    assert before is not None
    module = running.path / "chat/web/serve.py"
    text = module.read_text(encoding="utf-8")
    assert OPENED in text
    module.write_text(text.replace(OPENED, LEAK + OPENED), encoding="utf-8")
    assert running.run("git", "commit", "-qam", "feat: a cache").returncode == 0
    done = running.run(OPSKIT, "deploy", "HEAD", "--yes")
    assert done.returncode == 5, done.stdout
    assert "killed by signal 9" in done.stdout
    assert f"{before.release.version} is in service as before" in done.stdout
    assert running.get("/version")["commit"] == before.release.commit


def test_a_chat_that_crashes_while_it_bakes_is_taken_back_and_one_that_goes_on_crashing_is_left_alone(
    running: Clone,
) -> None:
    before = running.control.status().running
    assert before is not None
    done = running.run(OPSKIT, "deploy", "HEAD", "--yes", "--no-wait")
    assert done.returncode == 0, done.stdout

    kill_until(running, None)
    wait_for(lambda: events(running, "bake.failed") != [])
    bake = running.control.status().bake
    assert bake is not None
    assert bake.state is BakeState.FAILED
    assert "crashes in the bake, the last: killed by signal 9" in str(events(running, "bake.failed")[-1]["saw"])
    assert running.get("/version")["commit"] == before.release.commit

    kill_until(running, ChildState.CRASH_LOOP)
    started = len(events(running, "service.started"))
    assert events(running, "service.crash_loop")[-1]["version"] == before.release.version
    with pytest.raises(urllib.error.HTTPError, match="503") as refused:
        running.get("/healthz")
    with refused.value as answer:
        assert answer.headers["Retry-After"]
        assert json.load(answer)["detail"] == "the service keeps crashing"
    status = running.run(OPSKIT, "status")
    assert "crash_loop: killed by signal 9" in status.stdout
    assert len(events(running, "service.started")) == started

    assert running.run(OPSKIT, "restart", "--yes").returncode == 0
    assert running.get("/version")["commit"] == before.release.commit
