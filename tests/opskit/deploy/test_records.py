"""History, the journal of an operation, the lock, and placeholders: what is read back is what was written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from opskit.config import Target
from opskit.deploy import history, lock
from opskit.deploy.history import Entry
from opskit.deploy.layout import layout_of
from opskit.deploy.operation import HalfDone, Intent, Operation, half_done
from opskit.deploy.placeholders import fill
from opskit.deploy.processes import identity
from opskit.errors import Refused, UsageFault

INTENT = Intent("01X", "deploy", "local", "HEAD", "1.0.0", "c" * 40, "1.0.0-cccccccccccc", "", "2026-01-01")


def deploy(release: str, previous: str = "", result: str = "done") -> Entry:
    return Entry("t", "deploy", release, previous, result)


def rollback(release: str, previous: str) -> Entry:
    return Entry("t", "rollback", release, previous, "done", "it is broken")


def test_rollback_goes_to_the_newest_release_that_no_rollback_has_left() -> None:
    told = [deploy("a"), deploy("b", "a"), deploy("c", "b"), rollback("b", "c")]
    assert history.rollback_choice(told, running="b", retained=["a", "b", "c"]) == "a"
    assert history.rollback_choice([*told, deploy("d", "b")], running="d", retained=["a", "b", "c"]) == "b"
    assert history.rollback_choice([*told, deploy("c", "b")], running="b", retained=["b", "c"]) == "c"


def test_a_release_that_never_was_in_service_is_nothing_to_roll_back_to() -> None:
    told = [deploy("a", result="failed"), deploy("b")]
    assert history.rollback_choice(told, running="b", retained=["a", "b"]) == ""


def test_history_survives_a_line_cut_off_in_writing(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history.append(path, deploy("a"))
    with path.open("a") as file:
        file.write('{"at": "t", "ki')
    assert [entry.release for entry in history.read(path)] == ["a"]


def test_a_step_cut_off_midway_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "operation.jsonl"
    journal = Operation(path)
    assert half_done(path) is None
    journal.begin(INTENT)
    assert half_done(path) == HalfDone(INTENT)
    journal.started("build")
    journal.finished("build")
    journal.started("cut over")
    found = half_done(path)
    assert found == HalfDone(INTENT, ("build",), "cut over")
    assert "cut off in the step 'cut over'" in str(found)
    journal.end()
    assert half_done(path) is None


def test_a_lock_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    with lock.held(path, target="local", operation="deploy 1.0.0"):
        second = lock.held(path, target="local", operation="rollback")
        with pytest.raises(lock.Locked, match=rf"deploy 1.0.0 by .* pid {os.getpid()}"), second:
            pass
        with pytest.raises(Refused, match="still runs"):
            lock.free(path)
    assert lock.holder_of(path) is None


def test_a_lock_frees_itself_when_its_holder_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    code = (
        "import os, sys; from pathlib import Path; from opskit.deploy import lock\n"
        "with lock.held(Path(sys.argv[1]), target='t', operation='deploy'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert lock.holder_of(path) is not None
    with lock.held(path, target="t", operation="deploy again"):
        pass


def test_a_recycled_pid_is_not_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    with lock.held(path, target="t", operation="deploy"):
        told = json.loads(path.read_text())
        told["process"]["started_ticks"] -= 1
        path.write_text(json.dumps(told))
        assert lock.free(path) is not None


def test_a_half_written_lock_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    path.write_text('{"operation": "dep')
    with lock.held(path, target="t", operation="deploy"):
        assert lock.holder_of(path) is not None


def test_a_process_is_gone_once_it_is_reaped() -> None:
    child = subprocess.Popen(["sleep", "60"])
    who = identity(child.pid)
    assert not who.gone
    child.kill()
    child.wait()
    assert who.gone


def test_placeholders_are_filled_and_an_unknown_one_is_named() -> None:
    assert fill("smoke --url {url} '{a b}'", {"url": "http://x y"}, key="k", quote=True) == (
        "smoke --url 'http://x y' '{a b}'"
    )
    with pytest.raises(UsageFault, match=r"smoke: \{host\} is no placeholder here; there is \{url\}"):
        fill("{host}", {"url": ""}, key="smoke")


def test_the_state_directory_follows_the_project_and_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    target = Target(start="x")
    assert layout_of("local", target, root=tmp_path).state_dir == Path("/home/u/.local/state/opskit/shop/local")
    monkeypatch.setenv("XDG_STATE_HOME", "/var/tmp/s")
    assert layout_of("local", target, root=tmp_path).state_dir == Path("/var/tmp/s/opskit/shop/local")
    own = Target(start="x", state_dir="/srv/{target}")
    assert layout_of("eu", own, root=tmp_path).state_dir == Path("/srv/eu")
    with pytest.raises(UsageFault, match="not absolute"):
        layout_of("eu", Target(start="x", state_dir="srv"), root=tmp_path)
