"""Alerts of a target really arrive: at a local HTTP receiver, from the supervisor and from a deploy."""

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.opskit.deploy.shop import PYTHON, Shop, free_port, wait_for

Inbox = tuple[str, list[dict[str, Any]]]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """An apprise URL, and what was posted to it."""
    got: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    server.server_close()


def test_a_crash_loop_reaches_who_is_configured(make_shop: Callable[..., Shop], inbox: Inbox) -> None:
    url, got = inbox
    shop = make_shop(alerts=["json://$HOOK/"], smoke="")
    hook = url.removeprefix("json://").rstrip("/")
    assert shop.opskit("deploy", env={"HOOK": hook}).code == 0
    fault = next((shop.state_dir / "releases").glob("1.0.0-*")) / "fault.txt"
    fault.chmod(0o644)
    fault.write_text("crash_at_once")
    running = shop.status.running
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    wait_for(lambda: bool(got), within_s=20, what="alert")
    assert got[0]["title"] == "local: 1.0.0 is in a crash loop"
    assert "exited with 1" in got[0]["message"]
    assert (shop.state_dir / "alerts.json").stat().st_mode & 0o077 == 0


# red in public only: passes on the private socket, where the old release serves the public one meanwhile
RED_IN_PUBLIC = f"{PYTHON} -c 'import sys; sys.exit(sys.argv[1].endswith(sys.argv[2]) and 3)' {{url}}"


@pytest.mark.slow
def test_a_deploy_that_is_put_back_after_cut_over_tells(make_shop: Callable[..., Shop], inbox: Inbox) -> None:
    url, got = inbox
    dead = f"json://secret@127.0.0.1:{free_port()}/"
    shop = make_shop(alerts=[url, dead], smoke="")
    assert shop.deploy().code == 0
    shop.configure(alerts=[url, dead], smoke=f"{RED_IN_PUBLIC} :{shop.port}")
    shop.commit("v1.1.0")
    ran = shop.deploy()
    assert ran.code == 5
    assert ran.steps["smoke in public"] == "failed"
    assert shop.serves == "1.0.0"
    assert [message["title"] for message in got] == ["local: 1.1.0 failed in service; 1.0.0 is back"]
    assert "the alert to json://… was not delivered" in ran.err
    assert "secret" not in ran.err


@pytest.mark.slow
def test_alerts_that_nobody_would_get_are_a_warning_and_a_finding(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(alerts=["jsn://x"], smoke="")
    ran = shop.deploy()
    assert ran.code == 0
    assert "targets.local.alerts[0]: jsn://… is no URL that apprise knows" in ran.err
    findings = shop.opskit("doctor", "--json").last["findings"]
    assert [finding["ok"] for finding in findings if finding["check"] == "alerts local"] == [False]


@pytest.mark.slow
def test_taking_alerts_out_of_the_configuration_ends_them(make_shop: Callable[..., Shop], inbox: Inbox) -> None:
    shop = make_shop(alerts=[inbox[0]], smoke="")
    assert shop.deploy().code == 0
    shop.configure(smoke="")
    assert shop.deploy().code == 0
    with contextlib.suppress(FileNotFoundError):
        pytest.fail((shop.state_dir / "alerts.json").read_text())
