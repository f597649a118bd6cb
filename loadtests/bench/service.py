"""What else the chat is measured for: sends, handshakes, idle memory, history, many rooms, a reconnect storm."""

import itertools
import json
import statistics
import threading
import time
from collections.abc import Callable
from functools import partial

from loadtests.bench import servers
from loadtests.bench.people import Api, Person, Reader, accounts, at_once, crowd
from loadtests.bench.swarm import Swarm

Figures = dict[str, float]
ACK = b'"type":"ack"'
PER_PERSON = 100  # sockets, where there are more sockets than accounts are worth making


def durable_sends(*, senders: int = 100, seconds: float = 5.0) -> Figures:
    """Acks per second and their p99 in ms, *senders* in as many rooms, one message in flight each."""
    with servers.chat() as server:
        api, swarm = Api(server.port), Swarm(ACK)
        commands = []
        for _ in range(senders):
            person = api.register()
            room_id = api.room(person)
            swarm.connect(server.port, "/chat", headers=person.headers)
            commands.append(
                json.dumps({"type": "message", "id": "1", "room_id": room_id, "content": "durable hello"}).encode()
            )
        swarm.settle(0.5)
        waits_ms: list[float] = []
        sent_s = [0.0] * senders
        acked = [0] * senders

        def go_on() -> bool:
            now_s = time.monotonic()
            for at, client in enumerate(swarm.clients):
                if client.seen > acked[at]:
                    acked[at] = client.seen
                    waits_ms.append((client.last_at_s - sent_s[at]) * 1e3)
                    sent_s[at] = now_s
                    client.send_text(commands[at])
            return now_s >= end_s

        cpu_s, started_s = server.cpu_s(), time.monotonic()
        end_s = started_s + seconds
        for at, client in enumerate(swarm.clients):
            sent_s[at] = started_s
            client.send_text(commands[at])
        swarm.pump(go_on, deadline_s=seconds + 5)
        wall_s, used_s = time.monotonic() - started_s, server.cpu_s() - cpu_s
        swarm.close()
    waits_ms.sort()
    return {
        "acks_per_s": len(waits_ms) / wall_s,
        "ack_p50_ms": statistics.median(waits_ms),
        "ack_p99_ms": waits_ms[int(len(waits_ms) * 0.99)],
        "cpu_us_per_message": used_s / len(waits_ms) * 1e6,
    }


def handshakes(*, count: int = 1000, rooms: int = 5) -> Figures:
    """Handshakes per second, each with token, membership of *rooms* and hello."""
    with servers.chat() as server:
        api, swarm = Api(server.port), Swarm(b'"type":"hello"')
        people = [api.register() for _ in range(50)]
        for person in people:
            for _ in range(rooms):
                api.room(person)
        started_s = time.monotonic()
        swarm.connect_all(server.port, "/chat", [people[number % len(people)].headers for number in range(count)])
        swarm.pump(lambda: swarm.received >= count, deadline_s=60)
        wall_s = time.monotonic() - started_s
        swarm.close()
    return {"per_s": count / wall_s}


def idle(*, connections: int = 10_000, watch_s: float = 20.0) -> Figures:
    """Memory per idle connection in KiB, and the share of a core that their heartbeats take over one whole period."""
    with servers.chat(CHAT_MAX_SOCKETS_PER_USER=str(PER_PERSON)) as server:
        swarm = Swarm(b'"type":"hello"')
        people = accounts(server.port, connections // PER_PERSON + 1)
        at_once(server.port, [partial(Api.room, owner=person) for person in people])
        swarm.connect(server.port, "/chat", headers=people[-1].headers)
        swarm.settle()
        before_bytes = server.rss_bytes()
        swarm.connect_all(server.port, "/chat", [people[n % (len(people) - 1)].headers for n in range(connections)])
        swarm.settle(1.0)
        after_bytes = server.rss_bytes()
        cpu_s, end_s = server.cpu_s(), time.monotonic() + watch_s
        swarm.pump(lambda: time.monotonic() >= end_s, deadline_s=watch_s + 1)
        share = (server.cpu_s() - cpu_s) / watch_s
        swarm.close()
    return {"kib_per_connection": (after_bytes - before_bytes) / connections / 1024, "core_percent": share * 100}


def history(*, big: int = 100_000) -> Figures:
    """Pages per second, one call at a time: the newest of a room with *big* messages and of a small one, which the
    server has just read; and pages it has not, each at a place of its own, near the newest and half way back.
    """
    with servers.chat() as server:
        api = Api(server.port)
        person = api.register()
        small_id, big_id = api.room(person), api.room(person)
        _fill(server.port, person, small_id, 100)
        _fill(server.port, person, big_id, big)
        reader = Reader(server.port, person)

        def page(room_id: str, before: int | None = None) -> None:
            bound = "" if before is None else f"&before={before}"
            reader.get(f"/rooms/{room_id}/messages?limit=50{bound}")

        places = itertools.count()
        return {
            "newest_per_s": _per_s(lambda: page(big_id)),
            "small_per_s": _per_s(lambda: page(small_id)),
            "near_per_s": _per_s(lambda: page(big_id, big - next(places))),
            "far_back_per_s": _per_s(lambda: page(big_id, big // 2 - next(places))),
        }


def _fill(port: int, person: Person, room_id: str, messages: int, *, in_flight: int = 400) -> None:
    swarm = Swarm(ACK)
    client = swarm.connect(port, "/chat", headers=person.headers)
    command = json.dumps({"type": "message", "id": "1", "room_id": room_id, "content": "history " * 8}).encode()
    sent = 0
    while sent < messages:
        for _ in range(min(in_flight - (sent - swarm.received), messages - sent)):
            client.send_text(command)
            sent += 1
        floor = sent - in_flight // 2
        swarm.pump(lambda: swarm.received >= floor, deadline_s=60)  # noqa: B023 - called at once
    swarm.pump(lambda: swarm.received >= messages, deadline_s=60)
    swarm.close()


def _per_s(call: Callable[[], object], *, seconds: float = 2.0) -> float:
    call()
    started_s, done = time.monotonic(), 0
    while time.monotonic() - started_s < seconds:
        call()
        done += 1
    return done / (time.monotonic() - started_s)


def my_rooms(*, rooms: int = 500) -> Figures:
    """Median time in ms of `GET /me/rooms` for a user in *rooms* rooms."""
    with servers.chat() as server:
        api = Api(server.port)
        person = api.register()
        for _ in range(rooms):
            api.room(person)
        times_ms = []
        for _ in range(40):
            started_s = time.perf_counter()
            api.call("GET", "/me/rooms", as_=person)
            times_ms.append((time.perf_counter() - started_s) * 1e3)
    return {"median_ms": statistics.median(times_ms)}


def reconnect_storm(*, clients: int = 2000, behind: int = 100) -> Figures:
    """Seconds until *clients* that all resume at once have caught up *behind* events; others' ack p99 meanwhile."""
    with servers.chat() as server:
        api = Api(server.port)
        room_id, people = crowd(server.port, 200)
        calm = api.register()
        head = int(api.call("GET", f"/rooms/{room_id}", as_=people[0])["room"]["rev"])
        _fill(server.port, people[0], room_id, behind)
        resume = {"type": "resume", "id": "r", "epoch": _epoch(server.port, calm), "rooms": {room_id: head}}
        over = threading.Event()
        waits_ms: list[float] = []
        others = threading.Thread(target=talk, args=(server.port, calm, api.room(calm), over, waits_ms))
        others.start()
        swarm = Swarm(b'"type":"resumed"')
        started_s = time.monotonic()
        again = [people[number % len(people)].headers for number in range(clients)]
        swarm.connect_all(server.port, "/chat", again, greeting=json.dumps(resume).encode(), at_once=500)
        caught_up = swarm.pump(lambda: swarm.received >= clients, deadline_s=60)
        wall_s = time.monotonic() - started_s
        over.set()
        others.join()
        swarm.close()
    if not caught_up:
        raise TimeoutError(f"{clients} clients were not caught up within 60 s")
    waits_ms.sort()
    return {"caught_up_s": wall_s, "others_p99_ms": waits_ms[int(len(waits_ms) * 0.99)]}


def _epoch(port: int, person: Person) -> str:
    swarm = Swarm(b'"epoch"')
    client = swarm.connect(port, "/chat", headers=person.headers)
    swarm.pump(lambda: swarm.received > 0, deadline_s=30)
    swarm.close()
    hello = client.first
    start = 4 if hello[1] == 126 else 2  # RFC 6455 §5.2: two bytes of head, two more of length from 126 on
    return str(json.loads(hello[start:])["epoch"])


def talk(
    port: int, person: Person, room_id: str, over: threading.Event, waits_ms: list[float], *, pause_s: float = 0.0
) -> None:
    """Send one message after the other until *over*, noting how long each ack took."""
    swarm = Swarm(ACK)
    client = swarm.connect(port, "/chat", headers=person.headers)
    command = json.dumps({"type": "message", "id": "1", "room_id": room_id, "content": "calm"}).encode()
    swarm.settle()
    while not over.is_set():
        before, said_s = client.seen, time.monotonic()
        client.send_text(command)
        swarm.pump(lambda: client.seen > before, deadline_s=30)  # noqa: B023 - called at once
        waits_ms.append((time.monotonic() - said_s) * 1e3)
        over.wait(pause_s)
    swarm.close()
