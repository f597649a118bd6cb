"""A process killed at any moment loses no acknowledged message, keeps none twice and changes no number."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable

import pytest
from websockets.exceptions import WebSocketException

from tests.chat.conversation.line import open_line
from tests.chat.conversation.model import Frame
from tests.chat.conversation.world import WHOLE, history, until
from tests.chat.server import Account, Http, Server, nonce

USERS, ROOMS = 20, 4
LOST = (OSError, EOFError, WebSocketException)


class Talker:
    """Sends one message after another, each until it is acknowledged, to whichever process takes it."""

    def __init__(self, by: Account, servers: list[Server], room_id: str, *, dice: random.Random) -> None:
        self.by, self.servers, self.room_id, self.dice = by, servers, room_id, dice
        self.acked: list[Frame] = []
        self.client_id = nonce("k")

    async def talk(self, over: asyncio.Event) -> None:
        """Go on until *over*, and at least to the end of the message under way."""
        while not over.is_set():
            try:
                line = await open_line(self.by, self.dice.choice(self.servers), cut=WHOLE)
            except LOST:
                await asyncio.sleep(0.05)  # nobody listens there now
                continue
            try:
                while not over.is_set():
                    await self._send(line.send, line.recv)
            except LOST:
                continue
            finally:
                line.transport.abort()

    async def _send(
        self, send: Callable[[str], Awaitable[None]], receive: Callable[[], Awaitable[str | bytes]]
    ) -> None:
        command = {
            "type": "message",
            "id": self.client_id,
            "room_id": self.room_id,
            "content": f"said {self.client_id}",
        }
        await send(json.dumps(command | {"client_id": self.client_id}))
        while (answer := json.loads(await receive())).get("re") != self.client_id:
            pass
        if answer["type"] == "error":
            assert answer["code"] == "unavailable", answer
            return
        self.acked.append(answer["message"])
        self.client_id = nonce("k")


async def kill_at_random_moments(servers: list[Server], *, kills: int, seed: int) -> None:
    """Kill one process or both, *kills* in all, while everybody talks; then everything acknowledged is as it was."""
    dice = random.Random(seed)
    async with Http(servers[0]) as http:
        people = [await http.register() for _ in range(USERS)]
        rooms = [(await http.create_room(people[n]))["id"] for n in range(ROOMS)]
        for n, person in enumerate(people):
            await http.join(person, rooms[n % ROOMS])
        talkers = [Talker(person, servers, rooms[n % ROOMS], dice=dice) for n, person in enumerate(people)]
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for talker in talkers:
                group.create_task(talker.talk(over))
            while kills > 0:
                await more_acks(talkers, dice.randint(20, 200))
                await asyncio.sleep(dice.uniform(0, 0.02))  # so that it falls anywhere between two of them
                dying = dice.sample(servers, min(kills, dice.choice([1, 1, 2])))
                kills -= len(dying)
                for server in dying:
                    server.kill()
                await asyncio.gather(*(asyncio.to_thread(server.start) for server in dying))
            await more_acks(talkers, 50)
            over.set()
        for n in range(ROOMS):
            check_room(await history(http, people[n], rooms[n], limit=100), talkers[n::ROOMS])


async def more_acks(talkers: list[Talker], number: int) -> None:
    """Wait until so many more were acknowledged."""

    def acks() -> int:
        return sum(len(talker.acked) for talker in talkers)

    before = acks()

    async def enough() -> bool:
        return acks() >= before + number

    await until(enough, what=lambda: f"{acks() - before} acks", within_s=60)


def check_room(stored: list[Frame], talkers: list[Talker]) -> None:
    """All that was acknowledged is there as it was said to be; nothing twice, no hole, order kept per sender."""
    assert [message["seq"] for message in stored] == list(range(1, len(stored) + 1))
    assert len({message["client_id"] for message in stored}) == len(stored)
    for talker in talkers:
        own = [message for message in stored if message["sender"]["id"] == talker.by.id]
        assert own[: len(talker.acked)] == talker.acked
        assert len(own) <= len(talker.acked) + 1  # the one under way at the end


async def test_processes_killed_under_load_lose_nothing(pair: list[Server]) -> None:
    await kill_at_random_moments(pair, kills=3, seed=5)


@pytest.mark.slow
async def test_processes_killed_fifty_times_under_load_lose_nothing(pair: list[Server]) -> None:
    await kill_at_random_moments(pair, kills=50, seed=50)
