"""Presence: first connection and last, over processes that end well or badly, and crowds that come and go."""

import asyncio
import signal
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.chat.conversation.line import open_line
from tests.chat.conversation.world import WHOLE
from tests.chat.server import PASSWORD, Account, Http, Server, Socket, connected, free_port, open_socket

ERASED = 4012


@pytest.fixture
def third(pair: list[Server]) -> Iterator[Server]:
    """Another process with the pair's database, to be ended."""
    server = Server(free_port(), pair[0].data_dir).start()
    yield server
    server.kill()


@asynccontextmanager
async def watched(http: Http, people: list[Account]) -> AsyncIterator[tuple[Socket, str]]:
    """Somebody connected to the first process who shares a room with *people*, and the room."""
    watcher = await http.register()
    room_id = (await http.create_room(watcher))["id"]
    for person in people:
        await http.join(person, room_id)
    async with connected(watcher) as line:
        yield line, room_id


def presence_of(line: Socket, who: Account) -> list[bool]:
    """What the line heard of somebody."""
    return [f["online"] for f in line.seen if f["type"] == "presence" and f["user"]["id"] == who.id]


async def heard_all_before_now(line: Socket, http: Http, room_id: str) -> None:
    """Wait for somebody else's coming, which is told after all that was known before."""
    sentinel = await http.register()
    await http.join(sentinel, room_id)
    async with connected(sentinel):
        await line.expect("presence", online=True, user={"id": sentinel.id, "username": sentinel.username})


async def test_only_the_first_connection_and_the_last_are_told_whatever_process(
    pair: list[Server], https: list[Http]
) -> None:
    ann = await https[1].register()
    async with watched(https[0], [ann]) as (line, room_id):
        first = await open_socket(ann, server=pair[1])
        user = {"id": ann.id, "username": ann.username}
        told = await line.expect("presence", user=user)
        assert (told["online"], told["room_id"]) == (True, room_id)
        second, third = await open_socket(ann, server=pair[0]), await open_socket(ann, server=pair[1])
        await first.close()
        await third.close()
        await heard_all_before_now(line, https[0], room_id)
        assert presence_of(line, ann) == [True]
        online = await https[0].call("GET", f"/rooms/{room_id}/members?online=true", by=ann)
        assert ann.id in {member["user"]["id"] for member in online.json()["members"]}
        await second.nothing("presence", fields={"user": user})  # never to one's own sockets
        await second.close()
        assert (await line.expect("presence", user=user))["online"] is False
        away = await https[1].call("GET", f"/rooms/{room_id}/members", by=ann)
        states = {member["user"]["id"]: member for member in away.json()["members"]}
        assert states[ann.id]["online"] is False
        assert states[ann.id]["last_active"] >= told["last_active"]


async def test_an_account_erased_elsewhere_is_a_member_no_more_when_its_connection_is_told_gone(
    pair: list[Server], https: list[Http]
) -> None:
    ann, bob = await https[1].register(), await https[1].register()
    async with watched(https[1], [ann, bob]) as (line, room_id):
        gone, after = await open_socket(ann), await open_socket(bob)
        for person in (ann, bob):
            await line.expect("presence", user={"id": person.id, "username": person.username})
        await https[0].call("DELETE", "/me", by=ann, json={"password": PASSWORD})
        assert (await gone.closed())[0] == ERASED
        await line.expect("member", room_id=room_id, op="leave", user={"id": ann.id, "username": None})
        await after.close()
        await line.expect("presence", online=False, user={"id": bob.id, "username": bob.username})
        assert presence_of(line, ann) == [True]


async def test_a_1012_close_and_a_quick_return_cause_no_presence_frames(
    pair: list[Server], https: list[Http], third: Server
) -> None:
    people = [await https[0].register() for _ in range(10)]
    async with watched(https[0], people) as (line, room_id):
        lines = [await open_socket(person, server=third) for person in people]
        for person in people:
            await line.expect("presence", user={"id": person.id, "username": person.username})
        third.tell(signal.SIGTERM)
        for lost in lines:
            code, reason = await lost.closed()
            assert (code, reason.split("=")[0]) == (1012, "reconnect_after_ms")
        back = [await open_socket(person, server=pair[n % 2]) for n, person in enumerate(people)]
        await asyncio.to_thread(third.stop)
        await heard_all_before_now(line, https[0], room_id)
        assert [presence_of(line, person) for person in people] == [[True]] * len(people)
        for kept in back:
            await kept.close()


@pytest.mark.slow
async def test_a_killed_process_s_users_are_offline_within_60_s_but_not_those_who_came_back(
    pair: list[Server], https: list[Http], third: Server
) -> None:
    gone, back = await https[0].register(), await https[0].register()
    async with watched(https[0], [gone, back]) as (line, room_id):
        for person in (gone, back):
            await open_socket(person, server=third)
            await line.expect("presence", user={"id": person.id, "username": person.username})
        third.kill()
        async with connected(back, server=pair[1]):
            killed_s = time.monotonic()
            await line.expect("presence", online=False, within_s=60)
            print(f"offline after {time.monotonic() - killed_s:.1f} s")
            await heard_all_before_now(line, https[0], room_id)
            assert (presence_of(line, gone), presence_of(line, back)) == ([True, False], [True])


async def flap(person: Account, servers: list[Server], *, times: int, gate: asyncio.Semaphore) -> None:
    """Connect and lose the connection, again and again, each time to another process."""
    async with gate:
        for n in range(times):
            line = await open_line(person, servers[n % 2], cut=WHOLE)
            await line.recv()
            line.transport.abort()


async def crowd_flaps(pair: list[Server], https: list[Http], *, users: int, times: int) -> None:
    """*users* flap while two others talk; the frames this costs are bounded and the talk is not held up."""
    gate = asyncio.Semaphore(10)
    people = [await https[n % 2].register() for n in range(users)]
    waits_s: list[float] = []
    over = asyncio.Event()

    async def talk(line: Socket, speaker: Socket, room_id: str) -> None:
        while not over.is_set():
            started_s = time.monotonic()
            sent = await speaker.say(room_id, "still here?")
            await line.expect("message", message=sent["message"])
            waits_s.append(time.monotonic() - started_s)

    async with watched(https[0], people) as (line, room_id):
        talker = await https[1].register()
        await https[1].join(talker, room_id)
        async with connected(talker, server=pair[1]) as speaker, asyncio.TaskGroup() as group:
            group.create_task(talk(line, speaker, room_id))
            await asyncio.gather(*(flap(person, pair, times=times, gate=gate) for person in people))
            over.set()
        frames = sum(frame["type"] == "presence" for frame in line.seen)
        waits_ms = f"median {statistics.median(waits_s) * 1e3:.0f} ms, worst {max(waits_s) * 1e3:.0f} ms"
        print(f"{users} users, {times} flaps each: {frames} presence frames, a message took {waits_ms}")
        assert frames <= 4 * users  # two would do: came, and went for good
        assert statistics.median(waits_s) < 1
        assert max(waits_s) < 5


async def test_a_flapping_crowd_costs_few_frames_and_delays_nobody(pair: list[Server], https: list[Http]) -> None:
    await crowd_flaps(pair, https, users=30, times=6)


@pytest.mark.slow
@pytest.mark.alone
async def test_five_hundred_flapping_users_cost_few_frames_and_delay_nobody(
    pair: list[Server], https: list[Http]
) -> None:
    await crowd_flaps(pair, https, users=500, times=6)
