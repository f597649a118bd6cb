"""What a message costs as the rooms of one server grow in number: few people, each alone in many rooms."""

import json
import random
from collections.abc import Iterator
from functools import partial

from loadtests.bench import servers
from loadtests.bench.people import Api, Person, accounts, at_once
from loadtests.bench.servers import Server
from loadtests.bench.swarm import Swarm

PEOPLE = 10
MESSAGES = 6000
IN_FLIGHT = 100
ACK = b'"type":"ack"'


def cpu_us_per_message(counts: tuple[int, ...]) -> Iterator[tuple[int, float]]:
    """(rooms, server's processor time in µs for one message to any of them) for each of *counts*, ascending."""
    with servers.chat() as server:
        people = accounts(server.port, PEOPLE)
        commands: list[tuple[int, bytes]] = []
        for count in counts:
            commands += _more(server, people, count - len(commands))
            swarm = Swarm(ACK)
            swarm.connect_all(server.port, "/chat", [person.headers for person in people])
            swarm.settle()
            _send(swarm, commands, messages=500)  # warms what can be warm
            before_s = server.cpu_s()
            _send(swarm, commands, messages=MESSAGES)
            yield count, (server.cpu_s() - before_s) / MESSAGES * 1e6
            swarm.close()


def _more(server: Server, people: list[Person], count: int) -> list[tuple[int, bytes]]:
    """Make *count* rooms; for each, whose it is (place among *people*) and a command that says something in it."""
    owners = [place % len(people) for place in range(count)]
    made = at_once(server.port, [partial(Api.room, owner=people[place]) for place in owners])
    command = {"type": "message", "id": "1", "content": "one of many"}
    return [
        (place, json.dumps(command | {"room_id": room_id}).encode())
        for place, room_id in zip(owners, made, strict=True)
    ]


def _send(swarm: Swarm, commands: list[tuple[int, bytes]], *, messages: int) -> None:
    """Send *messages* to rooms picked at random, `IN_FLIGHT` at most not yet acknowledged, and wait for all acks."""
    swarm.reset()
    picked = random.Random(0).choices(commands, k=messages)
    for sent, (place, command) in enumerate(picked):
        swarm.clients[place].send_text(command)
        _await(swarm, sent + 1 - IN_FLIGHT)
    _await(swarm, messages)


def _await(swarm: Swarm, acks: int) -> None:
    if not swarm.pump(lambda: swarm.received >= acks, deadline_s=60):
        raise TimeoutError(f"{swarm.received} of {acks} messages were acknowledged within 60 s")
