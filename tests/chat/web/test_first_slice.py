"""Two people talk: the shortest way through everything."""

import contextlib

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.chat.server import Http, Server, connected, nonce


async def test_two_people_talk(shared_server: Server) -> None:
    async with Http(shared_server) as http:
        ann, bob = await http.register(), await http.register()
        room = await http.create_room(ann, f"cafe-☕ {nonce()}")
        async with connected(ann) as a, connected(bob) as b:
            await http.join(bob, room["id"])
            join = await b.expect("member", op="join")
            assert (join["rev"], join["user"]["id"]) == (2, bob.id)
            ack = await a.say(room["id"], "hello ☕️")
            assert (ack["status"], ack["duplicate"], ack["message"]["content"]) == ("delivered", False, "hello ☕️")
            heard = await b.expect("message")
            assert heard == {"type": "message", "room_id": room["id"], "rev": 3, "message": ack["message"]}
            assert (await a.expect("message"))["message"] == ack["message"]
            told = await b.expect("notification")
            assert (told["room_name"], told["preview"], told["unread"]) == (room["name"], "hello ☕️", 1)
            history = (await http.call("GET", f"/rooms/{room['id']}/messages", by=bob)).json()
            assert history == {"messages": [ack["message"]], "has_more": False, "rev": 3}


async def test_no_token_is_401_before_the_upgrade(shared_server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(shared_server.url.replace("http", "ws") + "/chat", proxy=None):
            pass
    assert refused.value.response.status_code == 401
    assert b'"code":"unauthorized"' in (refused.value.response.body or b"")
    with contextlib.suppress(KeyError):
        assert refused.value.response.headers["Content-Type"] == "application/problem+json"
