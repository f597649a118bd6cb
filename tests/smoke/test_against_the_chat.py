"""The smoke suite against a real chat: green, quick, and leaving nothing behind however it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.chat.server import NO_TLS, PASSWORD, Server, nonce, running
from tests.smoke.test_command import smoke


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("chat")) as server:
        yield server


def rooms_left(server: Server) -> list[str]:
    with httpx.Client(base_url=server.url, timeout=30, verify=NO_TLS) as client:
        body = {"username": nonce("witness"), "password": PASSWORD}
        client.headers["Authorization"] = f"Bearer {client.post('/auth/register', json=body).json()['access_token']}"
        return [room["name"] for room in client.get("/rooms", params={"limit": 100}).json()["rooms"]]


def test_a_healthy_chat_is_green_in_every_script_and_nothing_is_left(server: Server) -> None:
    done = smoke("--url", server.url, "--json")
    verdict = json.loads(done.stdout)
    assert [check for check in verdict["checks"] if not check["ok"]] == []
    assert done.returncode == 0
    assert any("cafe-☕" in check["name"] for check in verdict["checks"])
    assert rooms_left(server) == []


def test_interrupted_it_still_removes_what_it_made(server: Server) -> None:
    command = [sys.executable, "-P", "-m", "smoke", "--url", server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", env=dict(os.environ)) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if "a room `cafe-☕` is created" in line:
                run.send_signal(signal.SIGTERM)
                break
        run.stdout.read()
    assert run.returncode == 130
    assert rooms_left(server) == []


def test_where_registration_is_closed_an_account_does(tmp_path: Path) -> None:
    account = {"username": "keeper", "password": PASSWORD}
    with running(tmp_path) as server:
        httpx.post(f"{server.url}/auth/register", json=account, timeout=30, verify=NO_TLS).raise_for_status()
    with running(tmp_path, CHAT_REGISTRATION="closed") as server:
        stranger = smoke("--url", server.url)
        assert stranger.returncode == 1
        assert "set SMOKE_USERNAME and SMOKE_PASSWORD" in stranger.stdout
        known = smoke("--url", server.url, SMOKE_USERNAME="keeper", SMOKE_PASSWORD=PASSWORD)
        assert known.returncode == 0, known.stdout
        assert httpx.post(f"{server.url}/auth/login", json=account, timeout=30, verify=NO_TLS).status_code == 200
