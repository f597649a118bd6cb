"""`python -m smoke` as scripts call it, against services that are absent or broken."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests import forked

NOBODY = "http://127.0.0.1:9"  # the discard port: refused at once


def environment(**env: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SMOKE_")} | env


def smoke(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return forked.smoke(*arguments, cwd=Path.cwd(), env=environment(**env))


class AlwaysFails(BaseHTTPRequestHandler):
    """Knows no method: answers 501 to all of them."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base names it so
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def against_broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.CompletedProcess[str], Path]]:
    """One run against a service that fails every call, and its JUnit report."""
    report = tmp_path_factory.mktemp("smoke") / "new" / "smoke.xml"
    with ThreadingHTTPServer(("127.0.0.1", 0), AlwaysFails) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield smoke("--url", f"http://127.0.0.1:{server.server_port}", "--json", "--junit", str(report)), report
        server.shutdown()
        thread.join()


def test_nobody_there_is_red_and_said_once() -> None:
    done = smoke("--url", NOBODY, "--json")
    verdict = json.loads(done.stdout)
    assert done.returncode == 1
    assert (verdict["schema"], verdict["passed"], verdict["failed"]) == (1, 0, 1)
    assert "Connection refused" in verdict["checks"][0]["detail"]


Broken = tuple[subprocess.CompletedProcess[str], Path]


def test_a_failure_names_the_check_what_was_expected_and_what_was_seen(against_broken: Broken) -> None:
    done, _ = against_broken
    assert done.returncode == 1
    assert "✗ it is alive (GET /healthz)" in done.stderr
    assert "GET /healthz: expected 200, saw 501" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("smoke: RED")


def test_scripts_read_one_object_on_stdout(against_broken: Broken) -> None:
    verdict = json.loads(against_broken[0].stdout)
    assert set(verdict) == {"schema", "url", "passed", "failed", "seconds", "checks"}
    assert all(set(check) == {"name", "ok", "ms", "detail"} for check in verdict["checks"])
    assert verdict["failed"] == sum(not check["ok"] for check in verdict["checks"]) > 10


def test_the_junit_report_counts_what_failed(against_broken: Broken) -> None:
    suite = ET.parse(against_broken[1]).getroot()[0]
    assert suite.attrib["name"] == "smoke"
    assert int(suite.attrib["failures"]) + int(suite.attrib["errors"]) > 10


def test_the_callers_pytest_settings_and_plugins_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise SystemExit(3)\n")
    command = [sys.executable, "-P", "-m", "smoke", "--url", NOBODY, "--json"]
    env = environment(PYTEST_ADDOPTS="--other", PYTEST_PLUGINS="no_such_plugin")
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 1
    assert json.loads(done.stdout)["checks"][0]["name"].startswith("it is alive")


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host", "http://", "http://host:port", "http://host/?a=b"])
def test_what_is_no_address_is_a_wrong_call(url: str) -> None:
    done = smoke("--url", url)
    assert done.returncode == 2
    assert repr(url) in done.stderr


def test_a_username_without_a_password_is_a_wrong_call() -> None:
    done = smoke("--url", NOBODY, SMOKE_USERNAME="someone")
    assert done.returncode == 2
    assert "SMOKE_PASSWORD is not" in done.stderr


def test_a_report_that_cannot_be_written_is_a_wrong_call(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = smoke("--url", NOBODY, "--junit", str(tmp_path / "file" / "smoke.xml"))
    assert done.returncode == 2
    assert "smoke.xml" in done.stderr or "file" in done.stderr
