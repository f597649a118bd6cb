"""Whoever is not in a room hears and reads nothing of it, on any process, by any call; whoever rejoins reads all."""

from typing import Any

import pytest

from tests.chat.conversation.model import Frame
from tests.chat.conversation.world import Phone, World, events, history
from tests.chat.server import nonce

# Everything below a room, and every command about one; {room} and {message} are put in.
CALLS: list[tuple[str, str, Any]] = [
    ("GET", "/rooms/{room}/messages", None),
    ("GET", "/rooms/{room}/messages?before=99", None),
    ("GET", "/rooms/{room}/messages?after=0", None),
    ("POST", "/rooms/{room}/messages", {"content": "let me in"}),
    ("GET", "/rooms/{room}/members", None),
    ("GET", "/rooms/{room}/members?online=true", None),
    ("POST", "/rooms/{room}/read", {"seq": 1}),
    ("GET", "/rooms/{room}/events?after=0", None),
    ("PUT", "/messages/{message}/reactions/👍", None),
    ("DELETE", "/messages/{message}/reactions/👍", None),
    ("PATCH", "/rooms/{room}", {"name": "mine now"}),
    ("DELETE", "/rooms/{room}", None),
    ("DELETE", "/rooms/{room}/members/{member}", None),
]
COMMANDS: list[Frame] = [
    {"type": "message", "room_id": "{room}", "content": "let me in"},
    {"type": "react", "message_id": "{message}", "emoji": "👍"},
    {"type": "unreact", "message_id": "{message}", "emoji": "👍"},
    {"type": "view", "room_id": "{room}"},
    {"type": "read", "room_id": "{room}", "seq": 1},
    {"type": "typing", "room_id": "{room}"},
]


async def ask(phone: Phone, **fields: Any) -> Frame:
    """A command that is answered."""
    answer = await phone.ask(**fields)
    assert answer is not None
    return answer


async def everything_happens(world: World, room_id: str) -> Frame:
    """Every kind of event in a room, over both processes; returns a message."""
    for on, phone in enumerate(world.phones[0]):
        await phone.say(room_id, "secret", nonce("c"))
        message = list(phone.acked.values())[-1]["id"]
        assert (await ask(phone, type="react", message_id=message, emoji="🤫"))["type"] == "ack"
        assert (await ask(phone, type="typing", room_id=room_id))["type"] == "ack"
        await world.call(0, on, "PATCH", f"/rooms/{room_id}", name=nonce("secret"))
        await world.call(2, on, "POST", f"/rooms/{room_id}/leave")
        await world.call(2, on, "POST", f"/rooms/{room_id}/join")
        await world.phones[2][on].hang_up()
        await world.phones[2][on].connect(world.servers[on])
    return list(world.phones[0][0].acked.values())[-1]


@pytest.mark.parametrize("goes", ["leaves", "is removed"])
@pytest.mark.parametrize("on", [0, 1])
async def test_who_is_out_hears_nothing_more_on_any_process(world: World, goes: str, on: int) -> None:
    room_id, ann, bob = world.rooms[0]["id"], world.people[0], world.people[1]
    if goes == "leaves":
        done = await world.call(1, on, "POST", f"/rooms/{room_id}/leave")
    else:
        done = await world.https[on].call("DELETE", f"/rooms/{room_id}/members/{bob.id}", by=ann)
    assert done is not None
    assert done.status_code == 204
    await everything_happens(world, room_id)  # a device that hears any of it is a fault of the world
    await world.settle()
    for phone in world.phones[1]:
        log = phone.device.logs.get(room_id, {})
        last = log[max(log)] if log else None
        assert last is None or (last["type"], last["op"], last["user"]["id"]) == ("member", "leave", bob.id)
        assert room_id not in phone.device.rooms


async def test_who_rejoins_reads_all_of_the_history_and_hears_nothing_stale(world: World) -> None:
    room_id, path = world.rooms[0]["id"], f"/rooms/{world.rooms[0]['id']}"
    await world.phones[0][0].say(room_id, "before", nonce("c"))
    await world.call(1, 0, "POST", f"{path}/leave")
    await everything_happens(world, room_id)
    await world.call(1, 1, "POST", f"{path}/join")
    await world.settle()  # every phone's own join came first; what it missed came only because it asked
    seen = await history(world.https[0], world.people[1], room_id)
    assert [message["content"] for message in seen] == ["before", "secret", "secret"]
    mine = (await world.https[0].call("GET", "/me/rooms", by=world.people[1])).json()["rooms"]
    assert [(room["unread"], room["read_seq"]) for room in mine if room["room"]["id"] == room_id] == [(0, 3)]
    logs = [await events(http, world.people[1], room_id) for http in world.https]
    assert logs[0] == logs[1]


async def test_who_leaves_and_rejoins_at_once_hears_both_on_every_process(world: World) -> None:
    room_id = world.rooms[0]["id"]
    for phones in (world.phones[0], world.phones[2]):
        for phone in phones:
            await phone.hang_up()  # so that nobody else has the processes follow the room
    for n in range(12):
        for act in ("leave", "join"):
            done = await world.call(1, n % 2, "POST", f"/rooms/{room_id}/{act}")
            assert done is not None
            assert done.status_code < 300
    await world.settle()  # every phone is in the room and knows all of it


async def test_a_stranger_can_read_and_do_nothing_by_any_call(world: World) -> None:
    room_id = world.rooms[0]["id"]
    message = await everything_happens(world, room_id)
    before = await events(world.https[0], world.people[0], room_id)
    places = {"room": room_id, "message": message["id"], "member": world.people[0].id}
    for http in world.https:
        for method, path, body in CALLS:
            answer = await http.call(method, path.format(**places), by=world.people[3], json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "not_a_member"), (method, path, answer.text)
            assert "secret" not in answer.text
    for phone in world.phones[3]:
        for command in COMMANDS:
            filled = {k: v.format(**places) if isinstance(v, str) else v for k, v in command.items()}
            refusal = await ask(phone, **filled)
            assert (refusal["type"], refusal.get("code")) == ("error", "not_a_member"), (command, refusal)
        phone.device.wants = {room_id: 0}
        await phone.resume()  # answered by a reset, else the model complains
        assert (await ask(phone, type="ping"))["type"] == "pong"
        assert not phone.device.asked
        assert phone.device.logs == {}
    shown = await world.https[0].call("GET", "/me/rooms", by=world.people[3])
    assert shown.json() == {"rooms": []}
    assert await events(world.https[0], world.people[0], room_id) == before


async def test_a_deleted_room_is_gone_for_everybody_on_every_process(world: World) -> None:
    room_id = world.rooms[0]["id"]
    await world.phones[1][0].say(room_id, "the last word", nonce("c"))
    done = await world.call(0, 1, "DELETE", f"/rooms/{room_id}")
    assert done is not None
    assert done.status_code == 204
    await world.settle()
    for http in world.https:
        for method, path, body in CALLS[:8]:
            answer = await http.call(method, path.format(room=room_id), by=world.people[1], json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "room_not_found"), answer.text
    for phones in world.phones[:3]:
        for phone in phones:
            log = phone.device.logs[room_id]
            assert (log[max(log)]["type"], log[max(log)]["op"]) == ("room", "delete")
