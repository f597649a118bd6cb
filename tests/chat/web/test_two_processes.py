"""Two processes on one database give their users one conversation, as during every deploy."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.chat.server import QUIET, Account, Http, Server, connected, free_port, open_socket, running

CROSSING_S = 2.0  # on a loaded machine; the promise, measured where nothing else runs, is 0.1


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    folder = tmp_path_factory.mktemp("pair")
    servers = [Server(free_port(), folder, QUIET | {"CHAT_DRAIN_S": "0"}) for _ in range(2)]
    try:
        yield servers[0].start(), servers[1].start()
    finally:
        for server in servers:
            server.stop()
        assert not [line for server in servers for line in server.errors()]


async def test_everything_crosses(pair: tuple[Server, Server]) -> None:
    one, two = pair
    async with Http(one) as http1, Http(two) as http2:
        ann, bob = await http1.register(), await http2.register()
        made = await http1.create_room(ann)
        room_id = made["id"]
        async with connected(ann, server=one) as a, connected(bob, server=two) as b:
            await http1.call("POST", f"/rooms/{room_id}/join", by=bob)  # over the node that bob is not on
            assert (await b.expect("member", op="join", within_s=CROSSING_S))["rev"] == 2
            await a.expect("member", op="join")
            started = time.monotonic()
            sent = (await a.say(room_id, "over there"))["message"]
            heard = await b.expect("message", within_s=CROSSING_S)
            assert heard["message"] == sent
            crossing_ms = (time.monotonic() - started) * 1000
            assert (await b.expect("notification", within_s=CROSSING_S))["unread"] == 1
            await b.ask("react", message_id=sent["id"], emoji="👍")
            assert (await a.expect("reaction", within_s=CROSSING_S))["rev"] == 4
            async with connected(bob, server=one) as b1:
                await b.ask("read", room_id=room_id, seq=1)
                assert (await b1.expect("read", within_s=CROSSING_S))["unread"] == 0
                await a.nothing("presence", fields={"online": False})
            await http1.call("DELETE", f"/rooms/{room_id}/members/{bob.id}", by=ann)
            assert (await b.expect("member", op="leave", within_s=CROSSING_S))["rev"] == 5
            await a.say(room_id, "gone")
            await b.nothing("message")
    print(f"a message crossed in {crossing_ms:.0f} ms")


async def test_an_event_that_cannot_be_read_costs_its_room_its_connections_and_nobody_else(tmp_path: Path) -> None:
    with running(tmp_path, bugs=True) as one, running(tmp_path) as two:
        async with Http(one) as http1, Http(two) as http2:
            ann, bob, cat = [await http1.register() for _ in range(3)]
            spoilt, sound = await http1.create_room(ann), await http1.create_room(bob)
            await http1.join(cat, sound["id"])
            async with connected(ann) as a, connected(bob) as b:
                with closing(sqlite3.connect(tmp_path / "chat.db")) as database, database:
                    at = {"id": spoilt["id"]}
                    database.execute("INSERT INTO room_log (room_id, rev, at_ms, op) VALUES (:id, 2, 0, 'message')", at)
                    database.execute("UPDATE rooms SET rev = 2 WHERE id = :id", at)
                assert (await a.closed())[0] == 1011
                for n in range(3):
                    await http2.send(cat, sound["id"], f"still there {n}")
                    assert (await b.expect("message", within_s=CROSSING_S))["message"]["content"] == f"still there {n}"
                async with connected(ann):  # from past what is spoilt
                    assert (await http1.call("GET", "/readyz")).status_code == 200


async def test_presence_crosses_and_a_killed_process_s_users_go_offline_with_its_lease(tmp_path: Path) -> None:
    one, two = Server(free_port(), tmp_path).start(), Server(free_port(), tmp_path).start()
    try:
        async with Http(one) as http:
            ann, bob = await http.register(), await http.register()
            made = await http.create_room(ann)
            await http.join(bob, made["id"])
            async with connected(ann, server=one) as a:
                await open_socket(bob, server=two)
                await a.expect("presence", online=True, user={"id": bob.id, "username": bob.username}, within_s=5)
                two.kill()
                _end_lease(tmp_path, of=bob)
                await a.expect("presence", online=False)
    finally:
        one.stop()


def _end_lease(data_dir: Path, *, of: Account) -> None:
    """Let the 20 s be over for which the process that *of* is connected to is taken to be alive."""
    with closing(sqlite3.connect(data_dir / "chat.db", timeout=20)) as database, database:
        ended = (
            "UPDATE processes SET lease_until_ms = 0 WHERE id IN (SELECT process_id FROM presence WHERE user_id = ?)"
        )
        assert database.execute(ended, (of.id,)).rowcount == 1


async def test_ending_a_session_over_one_process_closes_its_sockets_on_the_other(pair: tuple[Server, Server]) -> None:
    one, two = pair
    async with Http(one) as http:
        ann = await http.register()
        peer = await open_socket(ann, server=two)
        await http.call("POST", "/auth/logout", by=ann)
        assert (await peer.closed(within_s=2 + CROSSING_S))[0] == 4011


async def test_a_ticket_holds_on_the_other_process_once(pair: tuple[Server, Server]) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    one, two = pair
    async with Http(one) as http:
        ann = await http.register()
        ticket = (await http.call("POST", "/auth/ws-ticket", by=ann)).json()["ticket"]
        async with connect(f"{two.url.replace('http', 'ws')}/chat?ticket={ticket}", proxy=None) as peer:
            assert ann.id in str(await peer.recv())
        with pytest.raises(InvalidStatus):
            async with connect(f"{one.url.replace('http', 'ws')}/chat?ticket={ticket}", proxy=None):
                pass


async def test_both_talking_at_once_is_one_dense_order_for_everybody(pair: tuple[Server, Server]) -> None:
    one, two = pair
    async with Http(one) as http:
        ann, bob = await http.register(), await http.register()
        room_id = (await http.create_room(ann))["id"]
        await http.join(bob, room_id)
        async with connected(ann, server=one) as a, connected(bob, server=two) as b:

            async def talk(by: Account, words: int) -> None:
                peer = a if by is ann else b
                for place in range(words):
                    await peer.send({"type": "message", "id": str(place), "room_id": room_id, "content": str(place)})

            await asyncio.gather(talk(ann, 150), talk(bob, 150))
            orders = []
            for peer in (a, b):
                while len([f for f in peer.seen if f["type"] == "message"]) < 300:
                    await peer.receive()
                orders.append([(f["rev"], f["message"]["id"]) for f in peer.seen if f["type"] == "message"])
            assert orders[0] == orders[1]
            assert [rev for rev, _ in orders[0]] == list(range(3, 303))
