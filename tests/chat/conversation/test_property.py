"""Whatever people do, on two processes that come and go, every device ends up with what a fresh snapshot shows."""

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.chat.conversation.line import Cut
from tests.chat.conversation.world import Phone, World
from tests.chat.server import Http, Server, nonce

PEOPLE, ROOMS, SERVERS = 4, 2, 2
STEP_S = 90.0

people, rooms, servers = (st.integers(0, n - 1) for n in (PEOPLE, ROOMS, SERVERS))
texts = st.sampled_from(["hello", "cafe-☕️", "👩‍👩‍👧‍👦 שלום", "a\nb\tc", "x" * 300])
emoji = st.sampled_from(["👍", "☕", "☕️", "👋🏽"])
bytes_until_cut = st.none() | st.integers(0, 2_000)
cuts = st.builds(Cut, heard=bytes_until_cut, said=bytes_until_cut)


class Stage:
    """Two servers, and an event loop in a thread of its own, so that people act while hypothesis thinks."""

    def __init__(self, servers: list[Server], https: list[Http], loop: asyncio.AbstractEventLoop) -> None:
        self.servers, self.https, self.loop = servers, https, loop
        self.fault: AssertionError | None = None  # the first; hypothesis tells only of what happens twice

    def wait(self, act: Coroutine[Any, Any, Any]) -> None:
        """Do something to its end."""
        try:
            asyncio.run_coroutine_threadsafe(act, self.loop).result(STEP_S)
        except AssertionError as fault:
            self.fault = self.fault or fault
            raise


@contextmanager
def staged(servers: list[Server]) -> Iterator[Stage]:
    """A stage with these servers, until everything on it has ended."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        stage = Stage(servers, [Http(server) for server in servers], loop)
        yield stage
        for http in stage.https:
            stage.wait(http.client.aclose())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Conversation(RuleBasedStateMachine):
    """What people may do; each rule begins something and does not wait for its end."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.stage.servers, self.stage.https)

    def begin(self, act: Coroutine[Any, Any, Any]) -> None:
        self.stage.loop.call_soon_threadsafe(self.world.begin, act)

    def phone(self, who: int, slot: int) -> Phone:
        return self.world.phones[who][slot]

    def room_id(self, room: int) -> str:
        return str(self.world.rooms[room]["id"])

    @initialize()
    def meet(self) -> None:
        self.stage.wait(self.world.open(people=PEOPLE, rooms=ROOMS))
        for who in range(PEOPLE):
            self.begin(self.phone(who, 0).connect(self.stage.servers[who % 2]))

    @rule(who=people, slot=servers, on=servers, cut=cuts)
    def connects(self, who: int, slot: int, on: int, cut: Cut) -> None:
        self.begin(self.phone(who, slot).connect(self.stage.servers[on], cut=cut))

    @rule(who=people, slot=servers)
    def loses_the_line(self, who: int, slot: int) -> None:
        self.begin(self.phone(who, slot).hang_up())

    @rule(who=people, slot=servers, room=rooms, text=texts, more=st.integers(0, 4))
    def sends(self, who: int, slot: int, room: int, text: str, more: int) -> None:
        client_id = nonce("c")
        self.begin(self.phone(who, slot).say(self.room_id(room), text, client_id, only_here=not more))
        for n in range(more):
            self.begin(self.phone(who, (slot + n) % 2).say(self.room_id(room), text, client_id))

    @rule(who=people, on=servers, room=rooms, text=texts)
    def sends_without_a_socket(self, who: int, on: int, room: int, text: str) -> None:
        self.begin(self.world.call(who, on, "POST", f"/rooms/{self.room_id(room)}/messages", content=text))

    @rule(who=people, slot=servers, of=people, which=st.integers(0, 5), emoji=emoji, act=st.sampled_from(["", "un"]))
    def reacts(self, who: int, slot: int, of: int, which: int, emoji: str, act: str) -> None:
        sent = list(self.phone(of, slot).acked.values())[-6:]
        if sent:
            message_id = sent[which % len(sent)]["id"]
            self.begin(self.phone(who, slot).ask(f"{act}react", message_id=message_id, emoji=emoji))

    @rule(who=people, slot=servers, room=rooms, act=st.sampled_from(["view", "typing"]))
    def looks_or_types(self, who: int, slot: int, room: int, act: str) -> None:
        self.begin(self.phone(who, slot).ask(act, room_id=self.room_id(room)))

    @rule(who=people, slot=servers, room=rooms, seq=st.integers(0, 30))
    def reads(self, who: int, slot: int, room: int, seq: int) -> None:
        self.begin(self.phone(who, slot).ask("read", room_id=self.room_id(room), seq=seq))

    @rule(who=people, on=servers, room=rooms, seq=st.integers(0, 30))
    def reads_without_a_socket(self, who: int, on: int, room: int, seq: int) -> None:
        self.begin(self.world.call(who, on, "POST", f"/rooms/{self.room_id(room)}/read", seq=seq))

    @rule(who=people, on=servers, room=rooms)
    def renames(self, who: int, on: int, room: int) -> None:
        self.begin(self.world.call(who, on, "PATCH", f"/rooms/{self.room_id(room)}", name=nonce("named ☕ ")))

    @rule(who=people, on=servers, room=rooms, act=st.sampled_from(["join", "join", "leave"]))
    def joins_or_leaves(self, who: int, on: int, room: int, act: str) -> None:
        self.begin(self.world.call(who, on, "POST", f"/rooms/{self.room_id(room)}/{act}"))

    @rule(who=people, whom=people, on=servers, room=rooms)
    def removes(self, who: int, whom: int, on: int, room: int) -> None:
        path = f"/rooms/{self.room_id(room)}/members/{self.world.people[whom].id}"
        self.begin(self.world.call(who, on, "DELETE", path))

    @rule(on=servers, dice=st.integers(0, 19), number=st.sampled_from([signal.SIGKILL, signal.SIGTERM]))
    def a_server_restarts(self, on: int, dice: int, number: signal.Signals) -> None:
        if dice == 19:  # it takes long
            self.begin(self.world.restart(on, number=number))

    @rule()
    def all_wait_a_moment(self) -> None:
        self.stage.wait(self.world.quiet())

    def teardown(self) -> None:
        if self.world.phones:
            try:
                self.stage.wait(self.world.settle())
            finally:
                self.stage.wait(self.world.close())


def hold(stage: Stage, *, examples: int, steps: int) -> None:
    """Play *examples* conversations of *steps* steps."""
    rules = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # servers do not repeat themselves exactly
    )
    try:
        run_state_machine_as_test(type("Conversation", (Conversation,), {"stage": stage}), settings=rules)
    finally:
        if stage.fault is not None:
            raise stage.fault


def test_every_device_shows_what_a_fresh_snapshot_shows(pair: list[Server]) -> None:
    with staged(pair) as stage:
        hold(stage, examples=8, steps=40)


@pytest.mark.slow
def test_every_device_shows_what_a_fresh_snapshot_shows_whatever_happens_for_long(pair: list[Server]) -> None:
    with staged(pair) as stage:
        hold(stage, examples=150, steps=60)
