"""Two processes on one file give their users one conversation, and it survives losing either."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from chat.protocol.errors import Fault
from chat.protocol.events import RoomEvent
from chat.protocol.log import Committed
from chat.services import Chat
from chat.settings import Settings, read
from chat.storage.messages import Sent
from tests.chat.services.conftest import Recorded, signed_in


async def until(holds: Callable[[], bool], *, within_s: float = 5.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.005)


async def test_a_commit_rings_the_other_process_within_100_ms(chat: Chat, other: Chat) -> None:
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "tea")
    rings: list[float] = []
    await asyncio.sleep(0.1)  # let what came before be rung
    other.log.on_ring(lambda: rings.append(time.monotonic()))
    sent_s = time.monotonic()
    await chat.messages.send(ann, room.id, "x")
    await until(lambda: bool(rings))
    assert rings[0] - sent_s < 0.5  # 20 ms where the machine has nothing else to do


async def test_ones_own_commits_do_not_ring(chat: Chat) -> None:
    ann = await signed_in(chat, "ann")
    room = await chat.rooms.create(ann, "tea")
    rings: list[int] = []
    await asyncio.sleep(0.1)
    chat.log.on_ring(lambda: rings.append(1))
    await chat.messages.send(ann, room.id, "x")
    await asyncio.sleep(0.1)
    assert rings == []


async def test_the_events_that_two_processes_make_are_one_dense_log(settings: Settings, recorded: Recorded) -> None:
    async with recorded(settings, "p_1") as (chat, seen), recorded(settings, "p_2") as (other, also_seen):
        ann, bob = await signed_in(chat, "ann"), await signed_in(other, "bob")
        room = await chat.rooms.create(ann, "tea")
        await other.rooms.join(bob, room.id)
        await asyncio.gather(
            *(chat.messages.send(ann, room.id, f"a{n}") for n in range(50)),
            *(other.messages.send(bob, room.id, f"b{n}") for n in range(50)),
        )
        logged = await chat.log.room_events(room.id, 0)
        made: list[RoomEvent] = [e for c in (*seen, *also_seen) for e in c.rooms]
        assert [e.rev for e in logged] == list(range(1, 103))
        assert sorted(made, key=lambda e: e.rev) == logged


@given(seed=st.integers(0, 2**32))
@rules(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_are_dense_and_unread_adds_up_whatever_people_do_at_once(tmp_path_factory: "object", seed: int) -> None:
    folder = tmp_path_factory.mktemp("random")  # type: ignore[attr-defined]  # pytest does not export its type
    asyncio.run(_do_anything(Path(str(folder)), random.Random(seed)))


async def _do_anything(folder: Path, dice: random.Random) -> None:
    settings = read(folder / "data", options={"bcrypt_cost": "4"}, env={}, file={})
    made: list[Committed] = []
    async with (
        Chat.open(settings, on_commit=made.append, process_id="p_1") as chat,
        Chat.open(settings, on_commit=made.append, process_id="p_2") as other,
    ):
        people = [await signed_in(chat, f"user{n}") for n in range(4)]
        rooms = [(await chat.rooms.create(people[0], f"room {n}")).id for n in range(2)]
        messages: list[str] = ["m_none"]

        async def act() -> None:
            on, who, room, message = dice.choice([chat, other]), dice.choice(people), dice.choice(rooms), messages[-1]
            acts: list[Callable[[], Awaitable[object]]] = [
                lambda: on.messages.send(who, room, "x"),
                lambda: on.messages.send(who, room, "y", f"c{dice.randrange(5)}"),
                lambda: on.reactions.add(who, message, dice.choice("👍🎉☕")),
                lambda: on.reactions.remove(who, message, dice.choice("👍🎉☕")),
                lambda: on.rooms.join(who, room),
                lambda: on.rooms.leave(who, room),
                lambda: on.rooms.remove_member(who, room, dice.choice(people).user_id),
                lambda: on.rooms.rename(who, room, f"name {dice.random()}"),
                lambda: on.reading.move(who, room, dice.randrange(20)),
                lambda: on.rooms.delete(who, room) if dice.random() < 0.1 else on.rooms.get(room),
            ]
            with suppress(Fault):  # most of what strangers try is refused; what matters is what it leaves behind
                done = await dice.choice(acts)()
                if isinstance(done, Sent):
                    messages.append(done.message.id)

        for _ in range(20):
            await asyncio.gather(*(act() for _ in range(8)))
        _hold_together(chat.store.path, made)


def _hold_together(path: Path, made: list[Committed]) -> None:
    with closing(sqlite3.connect(path)) as db:
        for room_id, rev, seq, members in db.execute("SELECT id, rev, seq, member_count FROM rooms").fetchall():
            at = (room_id,)
            revs = [r for (r,) in db.execute("SELECT rev FROM room_log WHERE room_id = ? ORDER BY rev", at)]
            seqs = [s for (s,) in db.execute("SELECT seq FROM messages WHERE room_id = ? ORDER BY rev", at)]
            assert revs == list(range(1, rev + 1))
            assert seqs == list(range(1, seq + 1))
            assert db.execute("SELECT count(*) FROM members WHERE room_id = ?", at).fetchone() == (members,)
            told = sorted(e.rev for c in made for e in c.rooms if e.room_id == room_id)
            assert told == revs
        beyond = "SELECT count(*) FROM members m JOIN rooms r ON r.id = m.room_id WHERE m.read_seq > r.seq"
        assert db.execute(beyond).fetchone() == (0,)
        wrong_counts = """
            SELECT count(*) FROM room_log AS l WHERE op IN ('add', 'remove') AND NOT EXISTS (
                SELECT 1 FROM room_log AS later WHERE later.message_id = l.message_id AND later.emoji = l.emoji
                AND later.op IN ('add', 'remove') AND later.rev > l.rev)
            AND count <> (SELECT count(*) FROM reactions AS r WHERE r.message_id = l.message_id AND r.emoji = l.emoji)
        """
        assert db.execute(wrong_counts).fetchone() == (0,)
        for user_id, log_n in db.execute("SELECT id, log_n FROM users").fetchall():
            numbers = [n for (n,) in db.execute("SELECT n FROM user_log WHERE user_id = ? ORDER BY n", (user_id,))]
            assert numbers == list(range(1, log_n + 1))


SENDER = """
import asyncio, sys
from pathlib import Path
from chat.services import Chat
from chat.settings import read

async def main() -> None:
    settings = read(Path(sys.argv[1]), options={"bcrypt_cost": "4"}, env={}, file={})
    async with Chat.open(settings, on_commit=lambda _: None, process_id=sys.argv[2]) as chat:
        who = await chat.sessions.authenticate(sys.argv[3])
        async def send(name: int) -> None:
            for n in range(10_000):
                sent = await chat.messages.send(who, sys.argv[4], f"{name} {n}", f"{sys.argv[2]}-{name}-{n}")
                print(sent.message.client_id, sent.message.seq, flush=True)
        await asyncio.gather(*(send(name) for name in range(20)))

asyncio.run(main())
"""


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
async def test_a_killed_process_loses_no_acknowledged_message(settings: Settings, rounds: int) -> None:
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_0") as chat:
        made = await chat.accounts.register("ann", "correct horse")
        who = await chat.sessions.authenticate(made.access_token)
        room = await chat.rooms.create(who, "tea")
        acknowledged: dict[str, int] = {}
        for attempt in range(rounds):
            lines = await asyncio.to_thread(
                _run_and_kill, settings.data_dir, f"p_k{attempt}", made.access_token, room.id
            )
            acknowledged |= {client_id: int(seq) for client_id, seq in lines}
        with closing(sqlite3.connect(chat.store.path)) as db:
            stored = dict(db.execute("SELECT client_id, seq FROM messages").fetchall())
        assert len(acknowledged) > 30 * rounds
        assert acknowledged.items() <= stored.items()
        assert sorted(stored.values()) == list(range(1, len(stored) + 1))
        sent = await chat.messages.send(who, room.id, "and on")
        assert sent.message.seq == len(stored) + 1


def _run_and_kill(data_dir: Path, process_id: str, token: str, room_id: str) -> list[list[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SENDER, str(data_dir), process_id, token, room_id], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(random.randrange(40, 200))]
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.readlines()
    return [line.split() for line in lines if line.endswith("\n") and line.split()]
