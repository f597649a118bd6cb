"""What is not the client's fault: an incident id for people, the traceback for the log, nothing of the inside."""

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

import pytest
from structlog.testing import capture_logs

from chat.fanout.hub import Hub
from chat.fanout.outbox import Tick
from chat.services import Chat
from chat.settings import read
from chat.web.app import create_app
from chat.web.presence import PresenceDesk
from chat.web.site import Site
from tests.chat.server import Http, connected, running

INSIDE = re.compile(r"sqlite|table|select|\.py\b|traceback|secret", re.IGNORECASE)


async def _burst(*_: Any, **__: Any) -> NoReturn:
    raise ZeroDivisionError("a secret in line 7 of table.py")


async def test_a_bug_is_answered_with_an_incident_id_that_the_log_explains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read(tmp_path, options={"bcrypt_cost": "4"}, env={}, file={})
    loop = asyncio.get_running_loop()
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1") as chat:
        tick = Tick(loop.call_soon)
        hub = Hub(tick, call_later=loop.call_later, on_gap=lambda: None, on_sent=lambda *_: None)
        app = create_app(Site(settings=settings, chat=chat, hub=hub, tick=tick, presence=PresenceDesk(hub)))
        made = await chat.accounts.register("ann", "correct horse")
        monkeypatch.setattr(type(chat.rooms), "get", _burst)
        with capture_logs() as logged:
            headers = {"Authorization": f"Bearer {made.access_token}"}
            answer = await app.test_client().get("/rooms/r_1", headers=headers)
        body = await answer.get_json()
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert body["code"] == "internal"
    assert not INSIDE.search(str(body))
    found = next(line for line in logged if line["event"] == "internal_error")
    assert found["incident"] in body["detail"]
    assert isinstance(found["exc_info"], ZeroDivisionError)


async def test_a_database_that_is_spoilt_under_a_running_server_is_unavailable_and_no_more(tmp_path: Path) -> None:
    with running(tmp_path, bugs=True) as server:
        async with Http(server) as http:
            ann = await http.register()
            room = (await http.create_room(ann))["id"]
            message = await http.send(ann, room, "hello")
            async with connected(ann) as peer:
                with closing(sqlite3.connect(tmp_path / "chat.db")) as database:
                    database.execute("ALTER TABLE reactions RENAME TO gone")
                answer = await http.call("PUT", f"/messages/{message['id']}/reactions/%F0%9F%8D%95", by=ann)
                refused = await peer.ask("react", message_id=message["id"], emoji="🍕")
                assert (await peer.ask("ping"))["type"] == "pong"
            for told in (answer.json(), refused):
                assert told["code"] == "unavailable"
                assert not INSIDE.search(str(told)), told
            assert (await http.call("GET", "/healthz")).status_code == 200
