"""Each send is repeated over different sockets, processes and HTTP: one row, one event, the same answer."""

import asyncio
import random
from collections import Counter

from tests.chat.conversation.model import Frame
from tests.chat.conversation.world import World, events, history
from tests.chat.server import nonce

SENDS = 60


async def test_a_send_repeated_anywhere_is_one_message_with_one_answer(world: World) -> None:
    dice = random.Random(2026)
    room_id = world.rooms[0]["id"]

    async def send(client_id: str, way: int) -> tuple[Frame, bool]:
        """Over a phone (0, 1) or HTTP (2, 3) to either process; the message, and whether it was there before."""
        if way < 2:
            answer = await world.phones[0][way].ask("message", room_id=room_id, content="again", client_id=client_id)
            assert answer is not None
            return answer["message"], answer["duplicate"]
        body = {"content": "again", "client_id": client_id}
        path = f"/rooms/{room_id}/messages"
        said = await world.https[way - 2].call("POST", path, by=world.people[0], json=body)
        return said.json()["message"], {201: False, 200: True}[said.status_code]

    async def send_each(client_id: str) -> Frame:
        answers = await asyncio.gather(*(send(client_id, dice.randrange(4)) for _ in range(dice.randint(1, 5))))
        assert [duplicate for _, duplicate in answers].count(False) == 1, answers
        assert all(message == answers[0][0] for message, _ in answers), answers
        return answers[0][0]

    sent = await asyncio.gather(*(send_each(nonce("c")) for _ in range(SENDS)))
    later = await asyncio.gather(*(send(message["client_id"], dice.randrange(4)) for message in sent))
    assert later == [(message, True) for message in sent]
    assert Counter(m["id"] for m in await history(world.https[0], world.people[1], room_id)) == Counter(
        message["id"] for message in sent
    )
    made = [e["message"] for e in await events(world.https[1], world.people[1], room_id) if e["type"] == "message"]
    assert sorted(made, key=lambda m: str(m["id"])) == sorted(sent, key=lambda m: str(m["id"]))
    await world.settle()


async def test_a_client_id_used_for_anything_else_is_a_conflict_on_every_way(world: World) -> None:
    here, there = world.rooms[0]["id"], world.rooms[1]["id"]
    ann, other = world.phones[0]
    client_id = nonce("c")
    await ann.say(here, "one thing", client_id)
    for phone in (ann, other):
        for room_id, content in ((here, "another"), (there, "one thing")):
            answer = await phone.ask("message", room_id=room_id, content=content, client_id=client_id)
            assert answer is not None
            assert (answer["type"], answer["code"], answer["retry"]) == ("error", "client_id_conflict", "no")
    body = {"content": "another", "client_id": client_id}
    refused = await world.https[1].call("POST", f"/rooms/{here}/messages", by=world.people[0], json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "client_id_conflict")
    bob = world.phones[1][0]
    await bob.say(here, "another", client_id)  # another sender's client_id is another
    assert bob.acked[client_id]["content"] == "another"
    await world.settle()
