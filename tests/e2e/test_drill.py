"""`opskit drill`: the incident this project grew from, lived through with real commands, and an end at any moment."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

OPSKIT = str(Path(sys.executable).with_name("opskit"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def begin(folder: Path, *words: str) -> subprocess.Popen[str]:
    """A drill under way, with its sandbox in *folder*."""
    return subprocess.Popen(
        [OPSKIT, "drill", *words, "--json"], cwd=folder, env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def running_in(folder: Path) -> list[str]:
    """The command lines of processes that work somewhere below *folder*."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str((process / "cwd").readlink()).startswith(str(folder)) or str(folder) in command:
                found.append(command)
        except OSError:
            continue
    return found


def test_coffee_goes_from_the_crash_to_the_post_mortem_and_leaves_nothing(tmp_path: Path) -> None:
    out, err = begin(tmp_path, "coffee").communicate()
    *steps, last = map(json.loads, out.splitlines())
    assert [step["detail"] for step in steps if not step["ok"]] == [], err
    assert (last["schema"], last["result"], last["steps"]) == (1, "done", len(steps))
    assert last["releases"] == ["v1.0.0", "v1.0.1"]
    (incident,) = last["incidents"]
    assert (incident["id"], incident["severity"], incident["decision"]) == ("INC-001", "S0", "hotfix")
    assert (incident["state"], incident["recovered_s"] > 0) == ("resolved", True)
    crash = next(step for step in steps if "crashes the server" in step["step"])
    assert "3 crashes, the last exited with 70" in crash["detail"]
    assert (running_in(tmp_path), list(tmp_path.iterdir())) == ([], [])


def test_a_drill_that_is_ended_halfway_leaves_nothing(tmp_path: Path) -> None:
    drill = begin(tmp_path, "bad-deploy")
    assert drill.stdout
    assert json.loads(drill.stdout.readline())["ok"]
    assert json.loads(drill.stdout.readline())["step"] == "deploy it"
    assert running_in(tmp_path / "opskit-drill-") != []
    drill.send_signal(signal.SIGTERM)
    drill.communicate()
    assert drill.returncode == 130
    assert (running_in(tmp_path), list(tmp_path.iterdir())) == ([], [])
