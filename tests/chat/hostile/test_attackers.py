"""Attackers, all at once, while two ordinary users talk: these see no error, lose nothing, and all is freed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.chat.hostile import attackers
from tests.chat.hostile.attackers import command, frame
from tests.chat.server import NO_TLS, Account, Http, Server, Socket, connected, running, wait_until

CEILING_MIB = 512  # of the server's memory, whatever happens
# Beyond what it had before, once all is over. Of what a crowd allocates at once, CPython gives an arena back only when
# the last object in it is gone, and glibc keeps freed pages among live ones. A second wave finds them and adds little.
MARGIN_MIB = 120
GROWTH_MIB = 48
MARGIN_DESCRIPTORS = 2  # this scrape's own connection, and one just closed
MARGIN_TASKS = 4  # those of the same
FREE_WITHIN_S = 40.0


@dataclass(frozen=True, slots=True)
class Size:
    """How many of each."""

    deaf: int
    floods: int
    silent: int
    slow: int
    storm: int
    tokenless: int
    guesses: int
    heartbeat_ms: int  # the clients share one process: the more they are, the later they answer a ping

    @property
    def noisy(self) -> int:
        """Accounts in the noisy room; one may have 20 sockets."""
        return 4 + self.deaf // 15

    @property
    def crowd(self) -> int:
        """Accounts that storm, flood and fall silent."""
        return max(4, (self.storm + self.silent + self.floods) // 15)


# Without those who are slow: they are given up only after 15 s.
SMALL = Size(deaf=4, floods=2, silent=4, slow=0, storm=30, tokenless=100, guesses=60, heartbeat_ms=3_000)
FULL = Size(deaf=40, floods=10, silent=100, slow=100, storm=500, tokenless=5000, guesses=1000, heartbeat_ms=8_000)


def mib(server: Server, what: str = "VmRSS") -> float:
    """The server's memory; `VmHWM`: the most it ever had."""
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no {what}")


def descriptors(server: Server) -> int:
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


def measured(server: Server, name: str) -> float:
    """One figure of `/metrics`."""
    for line in httpx.get(f"{server.url}/metrics", verify=NO_TLS).text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise AssertionError(f"no {name} in /metrics")


@dataclass(frozen=True, slots=True)
class Held:
    """What a server holds at one moment."""

    memory_mib: float
    descriptors: int
    tasks: float
    sockets: float

    @classmethod
    def by(cls, server: Server) -> "Held":
        """What *server* holds now."""
        return cls(
            mib(server), descriptors(server), measured(server, "chat_tasks"), measured(server, "chat_connections")
        )

    def is_back_to(self, before: "Held") -> bool:
        """Whether it is what it was *before*, within the margins."""
        return (
            self.sockets == before.sockets
            and self.descriptors <= before.descriptors + MARGIN_DESCRIPTORS
            and self.tasks <= before.tasks + MARGIN_TASKS
            and self.memory_mib < before.memory_mib + MARGIN_MIB
        )


@dataclass(slots=True)
class Talk:
    """Two people talking, and how long each message took to arrive."""

    ann: Socket
    bob: Socket
    room_id: str
    took_s: list[float] = field(default_factory=list)

    async def go_on(self, *, until: asyncio.Event, at_least: int) -> None:
        """Talk until told to stop; every message is acknowledged and heard by the other, in order."""
        place = 0
        while not until.is_set() or place < at_least:
            speaker, listener = (self.ann, self.bob) if place % 2 else (self.bob, self.ann)
            started = time.monotonic()
            await speaker.say(self.room_id, f"message {place}")
            heard = (await listener.expect("message"))["message"]["content"]
            self.took_s.append(time.monotonic() - started)
            assert heard == f"message {place}"
            await speaker.expect("message")
            place += 1
            await asyncio.sleep(0.15)  # people do not talk faster than the rate


@dataclass(slots=True)
class Scene:
    """A server, two people talking, and bad accounts; some with a room that they fill, one with none."""

    server: Server
    talk: Talk
    noisy: list[Account]
    noisy_room: str
    crowd: list[Account]
    loner: Account
    victim: str


@contextlib.asynccontextmanager
async def scene(server: Server, size: Size) -> AsyncIterator[Scene]:
    async with Http(server) as http:
        ann, bob = await http.register(), await http.register()
        room = await http.create_room(ann)
        await http.join(bob, room["id"])
        noisy = [await http.register() for _ in range(size.noisy)]
        crowd = [await http.register() for _ in range(size.crowd)]
        loner = await http.register()
        noisy_room = (await http.create_room(noisy[0]))["id"]
        for account in noisy[1:]:
            await http.join(account, noisy_room)
        async with connected(ann) as a, connected(bob) as b:
            for socket in (a, b):
                await socket.ask("view", room_id=room["id"])
            yield Scene(server, Talk(a, b, room["id"]), noisy, noisy_room, crowd, loner, ann.username)


async def deaf(scene: Scene, size: Size) -> None:
    """Peers that never read are dropped 4208 while others fill their room."""
    with attackers.deaf(scene.server, [scene.noisy[place % size.noisy] for place in range(size.deaf)]) as peers:
        for _ in range(20):
            attackers.murmur(peers)
            found = [attackers.noise(scene.server, by, scene.noisy_room, messages=45) for by in scene.noisy[:4]]
            for codes in await asyncio.gather(*found):
                assert codes.keys() <= {None, "rate_limited"}
            if closes(scene.server).get("4208", 0) >= size.deaf:
                return
            await asyncio.sleep(0.5)
    raise AssertionError(f"not all were dropped as slow consumers: {closes(scene.server)}")


def closes(server: Server) -> dict[str, float]:
    """How many sockets the server closed, by code."""
    found = {}
    for line in httpx.get(f"{server.url}/metrics", verify=NO_TLS).text.splitlines():
        if line.startswith("chat_closes_total{"):
            found[line.split('"')[1]] = float(line.split()[-1])
    return found


async def floods(scene: Scene, size: Size) -> None:
    """Frames without end close 4100, frames without a name 4000, pings without end nothing but themselves."""
    ways = [
        (command("ping"), {4100}),
        (command("message", room_id="r_nowhere", content="x"), {4100}),
        (frame(attackers.TEXT, b"nonsense"), {4000, 4100}),
        (frame(attackers.TEXT, b"[" * 30_000), {4000, 4100}),
    ]
    for place in range(size.floods):
        junk, wanted = ways[place % len(ways)]
        by = scene.crowd[place % size.crowd]
        assert await attackers.flood(scene.server, by, frames=20_000, junk=junk) in wanted, junk[:80]


async def silent(scene: Scene, size: Size) -> None:
    """Peers that answer no ping close 4201."""
    people = [scene.crowd[place % size.crowd] for place in range(size.silent)]
    found = await asyncio.gather(*(attackers.silence(scene.server, by) for by in people))
    assert set(found) == {4201}


async def fragments(scene: Scene, _size: Size) -> None:
    """Ten thousand fragments are one message, if they fit one; if not, 1009."""
    by = scene.loner
    answer = await attackers.fragments(scene.server, by, count=10_000, payload=b"y")
    assert answer == {"type": "pong", "re": "many"}
    assert await attackers.fragments(scene.server, by, count=10_000, payload=b"y" * 20) == 1009
    assert await attackers.fragments(scene.server, by, count=10_000, payload=b"") == {"type": "pong", "re": "many"}


async def bomb(scene: Scene, _size: Size) -> None:
    """Compression is not negotiated, and a frame that claims it is a protocol error."""
    assert await attackers.deflate_bomb(scene.server, scene.loner) == 4000


async def slow(scene: Scene, size: Size) -> None:
    """A handshake or a body that comes a byte at a time is given up after a while."""
    by = scene.loner
    requests = [attackers.slow_handshake(by), attackers.slow_body(by)] * size.slow
    for said in await asyncio.gather(*(attackers.trickle(scene.server, raw) for raw in requests)):
        assert said == b"" or said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 408")), said[:200]


async def storm(scene: Scene, size: Size) -> None:
    """Who reconnects in a storm gets a hello, or a close that says why not."""
    found = await attackers.storm(scene.server, scene.crowd, sockets=size.storm)
    assert found.keys() <= {"hello", "close"}
    assert found["hello"] >= size.storm


async def tokenless(scene: Scene, size: Size) -> None:
    assert await attackers.without_token(scene.server, sockets=size.tokenless) == {401: size.tokenless}


async def guesses(scene: Scene, size: Size) -> None:
    """Thirty guesses a minute from an address, then 429."""
    started = time.monotonic()
    found = await attackers.guess_passwords(scene.server, scene.victim, guesses=size.guesses, addresses=1)
    assert found.keys() <= {401, 429, 503}
    let_in = 31 + (time.monotonic() - started) / 2
    assert found[401] + found[503] <= let_in
    assert found[429] >= size.guesses - let_in


ATTACKS = (deaf, floods, silent, fragments, bomb, slow, storm, tokenless, guesses)


async def all_at_once(tmp_path: Path, size: Size, *, waves: int = 1) -> list[float]:
    """Every attack at once while two people talk; how long their messages took, in seconds, sorted."""
    with running(
        tmp_path,
        CHAT_HEARTBEAT_MS=str(size.heartbeat_ms),
        CHAT_TRUSTED_PROXIES="1",
        CHAT_RATE_MESSAGES_PER_S="10",
        CHAT_RATE_COMMANDS_PER_S="30",
        CHAT_RATE_AUTH_PER_MIN="30",
    ) as server:
        async with scene(server, size) as stage:
            held = [Held.by(server)]
            for _ in range(waves):
                await one_wave(stage, size)
                held.append(await asyncio.to_thread(freed, server, held[0]))
            print(*held, f"most {mib(server, 'VmHWM'):.0f} MiB", sep="\n")
            assert mib(server, "VmHWM") < CEILING_MIB
            assert held[-1].memory_mib < held[1].memory_mib + GROWTH_MIB
    return sorted(stage.talk.took_s)


async def one_wave(stage: Scene, size: Size) -> None:
    """Every attack, each to its end, while the two talk on."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(stage.talk.go_on(until=over, at_least=20))
        await asyncio.gather(*(attack(stage, size) for attack in ATTACKS))
        over.set()


def freed(server: Server, before: Held) -> Held:
    """What *server* holds once it has let go of what it did not hold *before*."""
    wait_until(
        lambda: Held.by(server).is_back_to(before),
        within_s=FREE_WITHIN_S,
        what=lambda: f"{Held.by(server)}, before {before}",
    )
    return Held.by(server)


async def test_a_few_attackers_of_every_kind_hurt_nobody(tmp_path: Path) -> None:
    await all_at_once(tmp_path, SMALL)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(600)
async def test_a_crowd_of_attackers_of_every_kind_hurts_nobody(tmp_path: Path) -> None:
    took_s = await all_at_once(tmp_path, FULL, waves=2)
    print(f"p50 {took_s[len(took_s) // 2] * 1000:.0f} ms, p99 {took_s[int(len(took_s) * 0.99)] * 1000:.0f} ms")
