"""The conversation over sockets: what each person hears, in which order, and what they can catch up with."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed

from tests.chat.server import PASSWORD, Account, Http, Server, Socket, connected, open_socket, running


class Room:
    """Two people in a room, both connected."""

    def __init__(self, http: Http, ann: Account, bob: Account, room: dict[str, Any], a: Socket, b: Socket) -> None:
        self.http, self.ann, self.bob, self.room, self.a, self.b = http, ann, bob, room, a, b
        self.id: str = room["id"]


@pytest.fixture
async def room(shared_server: Server) -> Any:
    async with Http(shared_server) as http:
        ann, bob = await http.register(), await http.register()
        made = await http.create_room(ann)
        await http.join(bob, made["id"])
        async with connected(ann) as a, connected(bob) as b:
            yield Room(http, ann, bob, made, a, b)


async def test_hello_says_where_each_room_stands(room: Room) -> None:
    await room.a.say(room.id, "one")
    async with connected(room.bob) as again:
        hello = again.hello
        state = next(r for r in hello["rooms"] if r["room_id"] == room.id)
    assert state == {
        "room_id": room.id,
        "name": room.room["name"],
        "rev": 3,
        "seq": 1,
        "read_seq": 0,
        "unread": 1,
    }
    assert hello["version"] == "chat.v1"
    assert hello["heartbeat_ms"] == 20_000
    assert hello["limits"] == {"frame_bytes": 65536, "content_graphemes": 4000, "messages_per_s": None, "burst": None}
    assert again.connection.subprotocol == "chat.v1"


async def test_reactions_are_broadcast_with_counts(room: Room) -> None:
    message = (await room.a.say(room.id, "hi"))["message"]
    ack = await room.b.ask("react", message_id=message["id"], emoji="❤")
    assert ack["reactions"] == {"❤️": {"count": 1, "me": True}}
    heard = await room.a.expect("reaction")
    assert (heard["op"], heard["emoji"], heard["count"], heard["rev"]) == ("add", "❤️", 1, 4)
    path = f"/messages/{message['id']}/reactions/{quote('❤️')}"
    assert (await room.http.call("PUT", path, by=room.ann)).json()["reactions"]["❤️"] == {"count": 2, "me": True}
    await room.b.expect("reaction", count=2)
    assert (await room.http.call("DELETE", path, by=room.ann)).status_code == 200
    await room.b.expect("reaction", op="remove", count=1)


async def test_the_answer_to_a_reaction_comes_before_the_own_copy_of_its_event(room: Room) -> None:
    message = (await room.a.say(room.id, "hi"))["message"]
    for command, op in (("react", "add"), ("unreact", "remove")):
        await room.a.ask(command, message_id=message["id"], emoji="👍")
        await room.a.expect("reaction", op=op)
        kinds = [frame["type"] for frame in room.a.seen if frame["type"] in {"ack", "reaction"}]
        assert kinds[-2:] == ["ack", "reaction"]


async def test_who_leaves_hears_the_own_leave_last(room: Room) -> None:
    assert (await room.http.call("POST", f"/rooms/{room.id}/leave", by=room.bob)).status_code == 204
    left = await room.b.expect("member", op="leave")
    assert left["user"]["id"] == room.bob.id
    await room.a.say(room.id, "are you there?")
    await room.b.nothing("message")
    refused = await room.b.ask("message", room_id=room.id, content="no")
    assert (refused["type"], refused["code"], refused["retry"]) == ("error", "not_a_member", "no")


async def test_who_joins_hears_the_own_join_first(room: Room) -> None:
    async with connected(await room.http.register()) as c:
        cat = c.hello["user"]["id"]
        account = Account(room.ann.server, cat, "", c.connection.request.headers["Authorization"][7:], "")  # type: ignore[union-attr]
        await room.http.join(account, room.id)
        await room.a.expect("member", op="join")
        await room.a.say(room.id, "welcome")
        events = [await c.receive(), await c.receive()]
        assert next(e["type"] for e in events if e["type"] not in {"presence", "notification"}) == "member"


async def test_a_renamed_and_a_deleted_room_are_told(room: Room) -> None:
    name = room.room["name"] + "-2"
    assert (await room.http.call("PATCH", f"/rooms/{room.id}", by=room.ann, json={"name": name})).status_code == 200
    assert (await room.b.expect("room", op="rename"))["name"] == name
    assert (await room.http.call("DELETE", f"/rooms/{room.id}", by=room.ann)).status_code == 204
    await room.b.expect("room", op="delete")
    answer = await room.b.ask("resume", epoch=room.b.hello["epoch"], rooms={room.id: 1})
    assert answer["type"] == "ack"
    assert (await room.b.expect("reset"))["reason"] == "deleted"


async def test_typing_reaches_the_others_only(room: Room) -> None:
    assert (await room.a.ask("typing", room_id=room.id))["status"] == "ok"
    assert (await room.b.expect("typing"))["user"]["id"] == room.ann.id
    await room.a.nothing("typing")


async def test_a_cursor_moved_on_one_device_shows_on_the_other(room: Room) -> None:
    for word in ("one", "two", "three"):
        await room.a.say(room.id, word)
    async with connected(room.bob) as other:
        answer = await room.b.ask("read", room_id=room.id, seq=2)
        assert (answer["read_seq"], answer["unread"]) == (2, 1)
        moved = await other.expect("read")
        assert (moved["read_seq"], moved["unread"]) == (2, 1)
        await room.b.nothing("read")
        again = await room.b.ask("read", room_id=room.id, seq=1)
        assert (again["read_seq"], again["unread"]) == (2, 1)
        await room.http.call("POST", f"/rooms/{room.id}/read", by=room.bob, json={"seq": 99})
        assert (await room.b.expect("read"))["read_seq"] == 3
        own = await room.b.say(room.id, "mine")
        assert (await other.expect("read", read_seq=own["message"]["seq"]))["unread"] == 0


async def test_notifications_are_merged_within_a_second_and_not_for_the_room_being_viewed(room: Room) -> None:
    for place in range(5):
        await room.a.say(room.id, f"message {place} 👩‍👩‍👧")
    first = await room.b.expect("notification")
    assert (first["preview"], first["unread"]) == ("message 0 👩‍👩‍👧", 1)
    merged = await room.b.expect("notification", within_s=3)
    assert (merged["preview"], merged["unread"], merged["sender"]["id"]) == ("message 4 👩‍👩‍👧", 5, room.ann.id)
    await room.a.nothing("notification")
    await asyncio.sleep(1.1)
    assert (await room.b.ask("view", room_id=room.id))["status"] == "ok"
    await room.a.say(room.id, "seen")
    await room.b.expect("message", rev=8)
    await room.b.nothing("notification")
    await room.b.ask("view", room_id=None)
    await room.a.say(room.id, "unseen")
    assert (await room.b.expect("notification"))["unread"] == 7


async def test_who_has_been_greeted_is_online(room: Room) -> None:
    for _ in range(5):
        cat = await room.http.register()
        await room.http.join(cat, room.id)
        async with connected(cat):
            online = await room.http.call("GET", f"/rooms/{room.id}/members?online=true", by=room.ann)
        assert cat.id in {member["user"]["id"] for member in online.json()["members"]}


async def test_presence_is_told_to_members_and_a_second_device_changes_nothing(room: Room) -> None:
    async with connected(room.bob):
        await room.a.nothing("presence", fields={"online": False})
    async with Http(room.ann.server) as http:
        cat = await http.register()
        await http.join(cat, room.id)
        peer = await open_socket(cat)
        came = await room.a.expect("presence", online=True, user={"id": cat.id, "username": cat.username})
        assert came["room_id"] == room.id
        members = (await http.call("GET", f"/rooms/{room.id}/members?online=true", by=cat)).json()["members"]
        assert {m["user"]["id"] for m in members} == {room.ann.id, room.bob.id, cat.id}
        await peer.nothing("presence", fields={"user": {"id": cat.id, "username": cat.username}})
        await peer.close()
        await room.a.expect("presence", online=False, within_s=2.5, user={"id": cat.id, "username": cat.username})


async def test_resume_sends_what_was_missed_and_then_goes_on(room: Room) -> None:
    for place in range(5):
        await room.a.say(room.id, f"{place}")
    async with connected(room.bob) as again:
        answer = await again.ask("resume", epoch=again.hello["epoch"], rooms={room.id: 3, "r_unknown": 1})
        assert answer["type"] == "ack"
        revs = [f["rev"] for f in again.seen if f["type"] == "message"]
        assert revs == [4, 5, 6, 7]
        done = await again.expect("resumed")
        assert done == {"type": "resumed", "room_id": room.id, "from": 3, "to": 7, "complete": True}
        reset = await again.expect("reset")
        assert reset == {"type": "reset", "room_id": "r_unknown", "reason": "not_a_member", "head_rev": None}
        await room.a.say(room.id, "after")
        assert (await again.expect("message", rev=8))["message"]["content"] == "after"
        revs = [f["rev"] for f in again.seen if f["type"] == "message"]
        assert revs == [4, 5, 6, 7, 8]


@pytest.mark.parametrize(("epoch", "rev", "reason"), [("other", 1, "epoch"), (None, 99, "ahead")])
async def test_what_cannot_be_resumed_is_reset(room: Room, epoch: str | None, rev: int, reason: str) -> None:
    await room.b.ask("resume", epoch=epoch or room.b.hello["epoch"], rooms={room.id: rev})
    reset = await room.b.expect("reset")
    assert (reset["reason"], reset["head_rev"]) == (reason, 2)


async def test_a_long_resume_of_large_messages_does_not_make_a_slow_consumer(room: Room) -> None:
    await room.b.close()  # it would have to read all of it before it could close
    for _ in range(320):
        await room.a.say(room.id, "\U0001f600" * 4_000)
    async with connected(room.bob) as again:
        await again.ask("resume", epoch=again.hello["epoch"], rooms={room.id: 2})
        heard = [frame["rev"] for frame in again.seen if frame["type"] == "message"]
    assert heard == list(range(3, 323))


async def test_a_repeated_client_id_returns_the_stored_message(room: Room) -> None:
    first = await room.a.say(room.id, "once", client_id="c1")
    again = await room.a.say(room.id, "once", client_id="c1")
    assert (again["duplicate"], again["message"]) == (True, first["message"])
    conflict = await room.a.ask("message", room_id=room.id, content="other", client_id="c1")
    assert conflict["code"] == "client_id_conflict"
    events = (await room.http.call("GET", f"/rooms/{room.id}/events?after=0", by=room.ann)).json()
    assert [e["type"] for e in events["events"]] == ["member", "member", "message"]
    assert (events["head_rev"], events["complete"]) == (3, True)


async def test_an_erased_author_s_name_is_in_no_event_that_is_resumed(room: Room) -> None:
    await room.b.say(room.id, "by whom?")
    await room.a.expect("message")
    erased = await room.http.call("DELETE", "/me", by=room.bob, json={"password": PASSWORD})
    assert erased.status_code == 204
    assert await room.b.closed() == (4012, "account gone")
    left = await room.a.expect("member", op="leave")
    assert left["user"] == {"id": room.bob.id, "username": None}
    heard = len(room.a.seen)
    await room.a.ask("resume", epoch=room.a.hello["epoch"], rooms={room.id: 2})
    assert [frame["rev"] for frame in room.a.seen[heard:] if "rev" in frame] == [3, 4]
    assert not [frame for frame in room.a.seen[heard:] if room.bob.username in str(frame)]


async def test_sessions_end_their_sockets(shared_server: Server) -> None:
    async with Http(shared_server) as http:
        ann = await http.register()
        here, elsewhere = await open_socket(ann), await open_socket(ann)
        other = http.account(
            await http.call("POST", "/auth/login", json={"username": ann.username, "password": "correct horse"})
        )
        third = await open_socket(other)
        assert (await http.call("POST", "/auth/logout", by=ann)).status_code == 204
        assert [(await s.closed(within_s=2))[0] for s in (here, elsewhere)] == [4011, 4011]
        assert (await third.ask("ping"))["type"] == "pong"
        erased = await http.call("DELETE", "/me", by=other, json={"password": "correct horse"})
        assert erased.status_code == 204
        assert (await third.closed(within_s=2))[0] in {4011, 4012}


async def test_a_ticket_opens_one_socket(shared_server: Server) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    async with Http(shared_server) as http:
        ann = await http.register()
        ticket = (await http.call("POST", "/auth/ws-ticket", by=ann)).json()["ticket"]
        url = f"{shared_server.url.replace('http', 'ws')}/chat?ticket={quote(ticket)}"
        async with connect(url, proxy=None) as peer:
            assert ann.id in str(await peer.recv())
        for wrong in (
            url,
            f"{url[:-5]}xxxxx",
            f"{shared_server.url.replace('http', 'ws')}/chat?token={ann.access_token}",
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(wrong, proxy=None):
                    pass
            assert refused.value.response.status_code == 401


async def test_a_foreign_origin_is_refused_and_the_own_one_served(shared_server: Server) -> None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus
    from websockets.typing import Origin, Subprotocol

    async with Http(shared_server) as http:
        ann = await http.register()
        url = shared_server.url.replace("http", "ws") + "/chat"
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url, additional_headers=ann.headers, origin=Origin("https://evil.example"), proxy=None):
                pass
        assert refused.value.response.status_code == 403
        offered = [Subprotocol("chat.v1"), Subprotocol(f"bearer.{ann.access_token}")]
        async with connect(url, subprotocols=offered, origin=Origin(shared_server.url), proxy=None) as peer:
            assert peer.subprotocol == "chat.v1"
        answer = await http.call("GET", "/me", by=ann, headers={"Origin": "https://evil.example"})
        assert answer.json()["code"] == "origin_not_allowed"


async def test_rates_are_limited_per_user_and_per_socket(tmp_path: Any) -> None:
    with running(
        tmp_path, CHAT_RATE_MESSAGES_PER_S="2", CHAT_RATE_COMMANDS_PER_S="5", CHAT_MAX_SOCKETS_PER_USER="2"
    ) as s:
        async with Http(s) as http:
            ann = await http.register()
            made = await http.create_room(ann)
            async with connected(ann) as a, connected(ann) as b:
                assert a.hello["limits"]["messages_per_s"] == 2
                answers = [await a.ask("message", room_id=made["id"], content="x") for _ in range(9)]
                assert [x["type"] for x in answers] == ["ack"] * 8 + ["error"]
                assert (answers[-1]["code"], answers[-1]["retry"]) == ("rate_limited", "after")
                assert 0 < answers[-1]["retry_after_ms"] <= 500
                limited = await http.call("POST", f"/rooms/{made['id']}/messages", by=ann, json={"content": "x"})
                assert limited.status_code == 429
                assert limited.headers["retry-after"] == "1"
                pings = [(await b.ask("ping"))["type"] for _ in range(30)]
                assert pings.count("pong") in range(20, 24)
                third = await open_refused(ann)
                assert third == 4102


async def test_one_s_messages_are_counted_together_over_sockets_and_http(tmp_path: Any) -> None:
    with running(tmp_path, CHAT_RATE_MESSAGES_PER_S="10", CHAT_RATE_COMMANDS_PER_S="0") as server:
        async with Http(server) as http:
            ann, bob = await http.register(), await http.register()
            made = await http.create_room(ann)
            await http.join(bob, made["id"])
            async with connected(ann) as a, connected(ann) as b:
                began = time.monotonic()
                had = 0
                for _ in range(20):
                    for socket in (a, b):
                        had += (await socket.ask("message", room_id=made["id"], content="x"))["type"] == "ack"
                    sent = await http.call("POST", f"/rooms/{made['id']}/messages", by=ann, json={"content": "x"})
                    had += sent.status_code == 201
                assert 40 <= had <= 41 + 10 * (time.monotonic() - began)
                while (refused := await a.ask("message", room_id=made["id"], content="x"))["type"] == "ack":
                    pass
                assert (refused["code"], refused["retry"]) == ("rate_limited", "after")
                assert 1 <= refused["retry_after_ms"] <= 100
                await http.send(bob, made["id"], "nobody else is held up")


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        ('{"type":"ping","id":"x"}', None),
        ('{"type":"nonsense","id":"x"}', "unknown_type"),
        ('{"type":"message","id":"x"}', "missing_field"),
        ('{"type":"message","id":"x","room_id":"r_1","content":7}', "invalid_field"),
    ],
)
async def test_who_does_not_heed_the_rate_is_closed_4100_whatever_is_sent(
    tight: Server, frame: str, told: str | None
) -> None:
    async with Http(tight) as http, connected(await http.register()) as a:
        for _ in range(2_000):
            await a.send(frame)
        codes = []
        with suppress(ConnectionClosed):
            while True:
                answer = await a.receive()
                codes.append(answer.get("code"))
                assert answer.get("code") != "rate_limited" or answer["retry_after_ms"] >= 1
        assert codes[:20] == [told] * 20
        assert codes[-1] == "rate_limited"
        assert a.connection.close_code == 4100


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("tight"), CHAT_RATE_COMMANDS_PER_S="5") as server:
        yield server


async def open_refused(by: Account) -> int:
    from websockets.asyncio.client import connect

    async with connect(
        by.server.url.replace("http", "ws") + "/chat", additional_headers=by.headers, proxy=None
    ) as peer:
        await peer.wait_closed()
        return peer.close_code or 0
