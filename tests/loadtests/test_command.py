"""`python -m loadtests` and `opskit loadtest` as people call them."""

import contextlib
import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from loadtests.progress import line
from tests.chat.server import running

NO_LOCUST = (
    "import sys, runpy; sys.modules['locust'] = None; sys.argv = ['loadtests', '--url', 'http://127.0.0.1:9'];"
    "runpy.run_module('loadtests', run_name='__main__')"
)


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-P", *command]
    return subprocess.run(call, cwd=cwd, capture_output=True, encoding="utf-8", timeout=110, check=False)


def test_a_missing_locust_is_told_with_its_remedy(tmp_path: Path) -> None:
    done = run("-c", NO_LOCUST, cwd=tmp_path)
    assert done.returncode == 2
    assert "pip install 'opskit[loadtest]'" in done.stderr


@pytest.mark.parametrize(
    "wrong", [["--shape", "square"], ["--users", "0"], ["--threshold", "speed=1"], ["--url", "host"]]
)
def test_a_wrong_call_is_refused_before_any_load(wrong: list[str], tmp_path: Path) -> None:
    done = run("-m", "loadtests", "--url", "http://127.0.0.1:9", *wrong, cwd=tmp_path)
    assert done.returncode == 2
    assert wrong[1].partition("=")[0] in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_threshold_that_is_missed_fails_the_run(tmp_path: Path) -> None:
    with running(tmp_path / "chat") as server:
        options = ["--url", server.url, "--users", "6", "--duration", "4", "--threshold", "ack_p99_ms=0", "--json"]
        done = run("-m", "opskit", "loadtest", *options, "--out", "out", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert done.returncode == 1, done.stderr
    assert [one["name"] for one in result["thresholds"] if one["name"] == "ack_p99_ms" and not one["ok"]] == [
        "ack_p99_ms"
    ]
    assert result["stats"]["ack"]["count"] > 0
    assert "making accounts and rooms" in done.stderr
    assert re.search(r"MISSED: ack_p99_ms \(\d+, limit 0\)", done.stderr), done.stderr
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert len(list((tmp_path / "out").glob("*.csv"))) == 4


def test_a_service_that_is_not_there_is_told_in_one_sentence(tmp_path: Path) -> None:
    done = run("-m", "loadtests", "--url", "http://127.0.0.1:9", "--users", "2", "--duration", "2", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("loadtest: MISSED: no accounts and rooms could be made: POST http")


def test_the_way_is_told_from_what_came_back_so_far() -> None:
    ack = SimpleNamespace(name="ack", num_requests=9, num_failures=1, get_response_time_percentile=lambda _: 12.3)
    late = SimpleNamespace(name="late", num_requests=10, num_failures=0)
    told = line(SimpleNamespace(entries={1: ack, 2: late}), users=4, elapsed_s=5.2, seconds=60)
    assert told == "  5 of 60 s · 4 users · 9 answers · 1 failed · ack p99 12 ms"


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("shape", ["reconnect-storm", "slow-readers", "unicode"])
def test_every_kind_of_load_passes_with_two_workers(shape: str, tmp_path: Path) -> None:
    with running(tmp_path / "chat") as server, socket.socket() as another:
        with contextlib.suppress(OSError):
            another.bind(("", 5557))  # the port where Locust's workers would find each other
        options = [
            "--url",
            server.url,
            "--users",
            "40",
            "--duration",
            "12",
            "--shape",
            shape,
            "--processes",
            "2",
            "--json",
        ]
        times = ("connect_p95_ms", "ack_p99_ms", "hear_p99_ms", "http_p95_ms")  # a benchmark holds them, not a test
        generous = [part for name in times for part in ("--threshold", f"{name}=10000")]
        done = run("-m", "loadtests", *options, *generous, cwd=tmp_path)
    result = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert ("resume" in result["stats"]) == (shape == "reconnect-storm")


def test_a_call_that_cannot_run_is_told_in_json_too(tmp_path: Path) -> None:
    done = run("-m", "opskit", "loadtest", "--url", "nonsense", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["exit_code"] == 2
    listed = run("-m", "opskit", "loadtest", "--shape", "list", "--json", cwd=tmp_path)
    assert "unicode" in json.loads(listed.stdout)["shapes"]
