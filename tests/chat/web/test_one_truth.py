"""Random people over two processes: what each builds from hello, events and resumes is what the log says."""

import asyncio
import contextlib
import json
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.chat import contract
from tests.chat.server import Account, Http, Server, free_port, nonce

DURABLE = {"message", "reaction", "member", "room"}


class Person:
    """A client that keeps every room's log as it hears it, and notices whatever the contract rules out."""

    def __init__(self, account: Account, servers: list[Server], chance: random.Random) -> None:
        self.account, self.servers, self.chance = account, servers, chance
        self.logs: dict[str, dict[int, Any]] = {}  # room -> rev -> event, of rooms I am in
        self.cursors: dict[str, int] = {}
        self.resuming: set[str] = set()
        self.connection: ClientConnection | None = None
        self.listener: asyncio.Task[None] | None = None
        self.acked: dict[str, Any] = {}
        self.faults: list[str] = []
        self._ids = iter(range(10**9))
        self.history: list[str] = []  # of frames that matter, for a failure's message

    async def online(self) -> None:
        """Connect to either process, and catch up."""
        for _ in range(200):
            server = self.chance.choice(self.servers)
            url = server.url.replace("http", "ws") + "/chat"
            try:
                self.connection = await connect(
                    url, additional_headers=self.account.headers, proxy=None, open_timeout=20
                )
                hello = json.loads(await self.connection.recv())
                break
            except (OSError, InvalidStatus, ConnectionClosed, TimeoutError):
                await asyncio.sleep(0.1)
        else:
            raise AssertionError("nobody answers")
        await self._settle(hello)
        self.listener = asyncio.create_task(self._listen(self.connection))

    async def _settle(self, hello: dict[str, Any]) -> None:
        here = {room["room_id"]: room for room in hello["rooms"]}
        for gone in self.logs.keys() - here.keys():
            del self.logs[gone]
        self.cursors = {room_id: room["read_seq"] for room_id, room in here.items()}
        self.resuming = set(here)
        self.history.append(f"hello { {room_id: room['rev'] for room_id, room in here.items()} }")
        rooms = {room_id: max(self.logs.setdefault(room_id, {}), default=0) for room_id in here}
        await self.send({"type": "resume", "id": "resume", "epoch": hello["epoch"], "rooms": rooms})

    async def _listen(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for raw in connection:
                frame = json.loads(raw)
                contract.check_frame(frame)
                self._take(frame)

    def _take(self, frame: dict[str, Any]) -> None:
        room_id = frame.get("room_id", "")
        if "rev" in frame or frame["type"] in {"resumed", "reset"}:
            short = {
                k: v for k, v in frame.items() if k in {"type", "room_id", "rev", "op", "from", "to", "reason", "user"}
            }
            self.history.append(str(short))
        match frame["type"]:
            case kind if kind in DURABLE:
                self._event(room_id, frame)
            case "resumed":
                self.resuming.discard(room_id)
            case "reset":
                self.resuming.discard(room_id)
                if frame["reason"] not in {"not_a_member", "deleted"}:
                    self.faults.append(f"reset: {frame}")
                self.logs.pop(room_id, None)
            case "read":
                self.cursors[room_id] = frame["read_seq"]
            case "ack" if "message" in frame:
                self.acked[frame["message"]["id"]] = frame["message"]
                self.cursors[frame["message"]["room_id"]] = max(
                    frame["message"]["seq"], self.cursors.get(frame["message"]["room_id"], 0)
                )
            case "ack" if "read_seq" in frame:
                self.cursors[frame["re"].partition("/")[0]] = frame["read_seq"]

    def _event(self, room_id: str, event: dict[str, Any]) -> None:
        own = event["type"] == "member" and event["user"]["id"] == self.account.id
        if room_id not in self.logs:
            if not (own and event["op"] == "join"):
                self.faults.append(f"an event of a room that is not mine: {event}")
                return
            self.logs[room_id] = {}
        log, rev = self.logs[room_id], event["rev"]
        if own and event["op"] == "join" and log and rev > max(log) + 1 and self._left(log[max(log)]):
            log.clear()  # left and back while catching up: what was said meanwhile was not for me
        if log and rev not in log and rev != max(log) + 1 and room_id not in self.resuming:
            self.faults.append(f"a hole before {rev}, after {max(log)}: {event}")
        if rev in log and room_id not in self.resuming:
            self.faults.append(f"twice: {event}")
        log[rev] = event
        if own and event["op"] == "leave" and room_id not in self.resuming:
            del self.logs[room_id]

    def _left(self, event: dict[str, Any]) -> bool:
        left = event["type"] == "member" and event["op"] == "leave"
        return left and bool(event["user"]["id"] == self.account.id)

    async def send(self, frame: dict[str, Any]) -> None:
        """Send a frame, or not, if the connection has just gone."""
        if self.connection is not None:
            with contextlib.suppress(ConnectionClosed):
                await self.connection.send(json.dumps(frame))

    async def drop(self) -> None:
        """Lose the connection without a word."""
        if self.connection is not None and self.listener is not None:
            self.connection.transport.abort()
            await self.listener
            self.connection = None

    async def call(self, method: str, path: str, **rest: Any) -> httpx.Response | None:
        """One call over either process; None when that one is down just now."""
        try:
            async with Http(self.chance.choice(self.servers)) as http:
                return await http.call(method, path, by=self.account, **rest)
        except httpx.TransportError:
            return None

    async def act(self, rooms: list[str]) -> None:
        """One random act."""
        room_id, name = self.chance.choice(rooms), f"{next(self._ids)}"
        body = {"content": f"text {name}", "client_id": f"{self.account.id}-{int(name) // 2}"}
        match self.chance.choice(
            ["send"] * 6 + ["post", "react", "react", "rename", "join", "leave", "read", "view", "drop"]
        ):
            case "send":
                await self.send(
                    {"type": "message", "id": name, "room_id": room_id} | body | {"content": body["client_id"]}
                )
            case "post":
                await self.call("POST", f"/rooms/{room_id}/messages", json=body | {"content": body["client_id"]})
            case "react" if self.acked:
                op, emoji = self.chance.choice(["react", "unreact"]), self.chance.choice("👍❤🎉")
                message_id = self.chance.choice(list(self.acked))
                await self.send({"type": op, "id": name, "message_id": message_id, "emoji": emoji})
            case "rename":
                await self.call("PATCH", f"/rooms/{room_id}", json={"name": nonce("renamed")})
            case "join" | "leave" as move:
                await self.call("POST", f"/rooms/{room_id}/{move}")
            case "read":
                await self.send({"type": "read", "id": f"{room_id}/{name}", "room_id": room_id, "seq": int(name)})
            case "view":
                await self.send({"type": "view", "id": name, "room_id": room_id})
            case "drop":
                await self.drop()
                await self.online()
        await asyncio.sleep(self.chance.random() * 0.02)


async def _settled(person: Person) -> None:
    """Reconnect, so that everything is caught up with, and wait for it."""
    await person.drop()
    await person.online()
    async with asyncio.timeout(30):
        while person.resuming:  # noqa: ASYNC110 - frames, not an event, empty it
            await asyncio.sleep(0.02)


async def _compare(person: Person) -> None:
    answer = await person.call("GET", "/me/rooms")
    assert answer is not None
    mine = {entry["room"]["id"]: entry for entry in answer.json()["rooms"]}
    assert mine.keys() == person.logs.keys()
    for room_id, entry in mine.items():
        truth: list[Any] = []
        while True:
            page = await person.call("GET", f"/rooms/{room_id}/events?after={len(truth)}")
            assert page is not None
            truth += page.json()["events"]
            if page.json()["complete"]:
                break
        heard = person.logs[room_id]
        assert [event["rev"] for event in truth] == list(range(1, len(truth) + 1))
        start = min(heard)  # 1, or the join while connected
        missed = [event for event in truth[start - 1 :] if heard.get(event["rev"]) != event]
        assert not missed, (missed[:2], [line for line in person.history if room_id in line])
        seqs = [event["message"]["seq"] for event in truth if event["type"] == "message"]
        assert seqs == list(range(1, len(seqs) + 1))
        assert entry["unread"] == len(seqs) - entry["read_seq"] == entry["room"]["seq"] - person.cursors[room_id]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
async def test_what_everyone_builds_is_what_the_log_says(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    servers = [Server(free_port(), tmp_path).start() for _ in range(2)]
    try:
        async with Http(servers[0]) as http:
            people = [Person(await http.register(), servers, chance) for _ in range(5)]
            rooms = [(await http.create_room(people[0].account))["id"] for _ in range(3)]
            for room_id in rooms:
                for person in people[1:]:
                    await http.join(person.account, room_id)
        await asyncio.gather(*(person.online() for person in people))

        async def live(person: Person) -> None:
            for _ in range(60):
                await person.act(rooms)

        await asyncio.gather(*(live(person) for person in people))
        if seed > 1:
            servers[1].kill()
            await asyncio.gather(*(live(person) for person in people[:2]))
            servers[1].start()
        for person in people:
            await _settled(person)
        for person in people:
            assert not person.faults, person.faults[:3]
            await _compare(person)
            await person.drop()
    finally:
        for server in servers:
            server.stop()
    assert not [line for server in servers for line in server.errors()]
