"""Logs say who did what and when, one JSON object a line, and never what people wrote, typed or hold as a secret."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.chat.server import Http, Server, Socket, connected, running

SECRET = "canary\nsings"


def lines(server: Server) -> list[dict[str, Any]]:
    """Every line of the log; each is a JSON object."""
    return [json.loads(line) for line in server.log().splitlines()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("logs"), CHAT_TRUSTED_PROXIES="1") as server:
        yield server


async def test_the_log_holds_no_text_no_name_and_no_secret(server: Server) -> None:
    async with Http(server) as http:
        ann = await http.register("canary-ann")
        room = await http.create_room(ann, "canary room ☕")
        ticket = (await http.call("POST", "/auth/ws-ticket", by=ann)).json()["ticket"]
        for method, path in (
            ("GET", "/rooms/canary%0ainjected/messages"),
            ("GET", "/rooms?query=canary"),
            ("GET", "/canary"),
            ("PUT", "/messages/canary/reactions/canary"),
        ):
            await http.call(method, path, by=ann, headers={"User-Agent": "canary", "X-Forwarded-For": "203.0.113.9"})
        for body in ({"username": "canary", "password": SECRET}, {"username": SECRET, "password": "canary"}):
            await http.call("POST", "/auth/login", json=body)
            await http.call("POST", "/auth/register", json=body)
        async with connected(ann) as socket:
            await socket.say(room["id"], SECRET)
            await socket.ask("message", room_id="canary", content="canary")
            await socket.send('{"canary": "\\ud800')
            await socket.ask("ping")
        url = server.url.replace("http", "ws") + "/chat?ticket="
        await Socket(await connect(url + ticket, proxy=None)).close()
        with pytest.raises(InvalidStatus):
            await connect(url + "canary", proxy=None)
    log = server.log()
    assert lines(server)
    for secret in ("canary", ann.access_token, ann.refresh_token, ticket):
        assert secret not in log


async def test_the_log_says_who_when_and_how_it_ended(server: Server) -> None:
    async with Http(server) as http:
        ann = await http.register()
        guess = {"username": ann.username, "password": "not this one"}
        await http.call("POST", "/auth/login", json=guess, headers={"X-Forwarded-For": "203.0.113.9"})
        await http.call("GET", "/me", by=ann)
        await http.call("GET", "/me")
        async with connected(ann):
            pass
    by_route = {(line.get("route"), line.get("status")): line for line in lines(server)}  # the latest of each
    failed = by_route["/auth/login", 401]
    assert (failed["code"], failed["address"], failed["level"]) == ("bad_credentials", "203.0.113.9", "info")
    assert by_route["/me", 200]["user"] == ann.id
    assert by_route["/me", 200]["session"].startswith("s_")
    assert by_route["/me", 401]["code"] == "unauthorized"
    assert all(line["timestamp"].endswith("Z") for line in lines(server))
    assert ann.id in {line["user"] for line in lines(server) if line["event"] == "socket.opened"}


def test_a_refused_handshake_is_logged(server: Server) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    answer = httpx.get(f"{server.url}/chat", headers=headers | {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    assert answer.status_code == 401
    found = next(line for line in lines(server) if line["event"] == "socket.refused")
    assert found["code"] == "unauthorized"
