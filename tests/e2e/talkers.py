"""People who talk through a deploy: each on a WebSocket, coming back when it closes, keeping count of all they hear."""

import asyncio
import contextlib
import json
import random
import re
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

SAY_EVERY_S = 2.0
_WINDOW = re.compile(r"reconnect_after_ms=(\d+)")


@dataclass
class Talker:
    """One person in one room. `heard` is by `rev`, in the order of arrival; `acked` by client_id."""

    url: str
    token: str
    room_id: str
    name: str
    heard: dict[int, dict[str, Any]] = field(default_factory=dict)
    first_rev: int = 0
    acked: dict[str, int] = field(default_factory=dict)  # client_id -> which release in turn acknowledged it
    heard_on: dict[str, int] = field(default_factory=dict)  # client_id -> which release in turn it was heard on
    closes: list[int] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)  # back after the window by so much; negative is within it
    faults: list[str] = field(default_factory=list)
    _waiting: dict[str, str] = field(default_factory=dict)  # client_id -> content, not yet acknowledged
    _epoch: str = ""
    _said: int = 0
    _resumed: bool = True  # until then live events may run ahead of those that were missed

    async def talk(self, over: asyncio.Event) -> None:
        """Talk until *over*, through as many connections as it takes."""
        closed_at, window_s = 0.0, 0.0
        while not over.is_set():
            try:
                async with connect(
                    self.url.replace("http", "ws") + "/chat",
                    subprotocols=[Subprotocol("chat.v1")],
                    additional_headers={"Authorization": f"Bearer {self.token}"},
                    compression=None,
                    ping_interval=None,
                ) as socket:
                    hello = json.loads(await socket.recv())
                    if closed_at:
                        self.late_s.append(time.monotonic() - closed_at - window_s)
                    await self._stay(socket, hello, over)
            except ConnectionClosed as closed:
                self.closes.append(closed.rcvd.code if closed.rcvd else 1006)
                found = _WINDOW.search(closed.rcvd.reason if closed.rcvd else "")
                closed_at, window_s = time.monotonic(), int(found[1]) / 1000 if found else 0.0
                await asyncio.sleep(random.uniform(0, window_s))
            except OSError as fault:
                self.faults.append(f"{type(fault).__name__}: {fault}")
                await asyncio.sleep(0.2)

    async def _stay(self, socket: ClientConnection, hello: dict[str, Any], over: asyncio.Event) -> None:
        if not self._epoch:
            self._epoch = hello["epoch"]
            self.first_rev = next(room["rev"] for room in hello["rooms"] if room["room_id"] == self.room_id)
        else:
            self._resumed = False
            last = max(self.heard, default=self.first_rev)
            await send(socket, type="resume", id="resume", epoch=self._epoch, rooms={self.room_id: last})
            for client_id, content in self._waiting.items():
                await self._say(socket, client_id, content)
        speaking = asyncio.create_task(self._speak(socket))
        try:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    self._take(json.loads(await asyncio.wait_for(socket.recv(), 0.5)), len(self.closes))
        finally:
            speaking.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await speaking

    async def _speak(self, socket: ClientConnection) -> None:
        await asyncio.sleep(random.uniform(0, SAY_EVERY_S))
        while True:
            self._said += 1
            client_id = f"{self.name}-{self._said}"
            self._waiting[client_id] = f"{client_id} ☕"
            await self._say(socket, client_id, self._waiting[client_id])
            await asyncio.sleep(SAY_EVERY_S)

    async def _say(self, socket: ClientConnection, client_id: str, content: str) -> None:
        await send(socket, type="message", id=client_id, room_id=self.room_id, content=content, client_id=client_id)

    def _take(self, frame: dict[str, Any], release: int) -> None:
        match frame["type"]:
            case "ack" if "message" in frame:
                self.acked.setdefault(frame["re"], release)
                self._waiting.pop(frame["re"], None)
            case "resumed":
                self._resumed = True
            case "error":
                self.faults.append(f"{frame['code']}: {frame['detail']}")
            case "reset":
                self.faults.append(f"reset: {frame['reason']}")
            case _ if "rev" in frame and frame.get("room_id") == self.room_id and frame["rev"] not in self.heard:
                if self._resumed and frame["rev"] != max(self.heard, default=self.first_rev) + 1:
                    self.faults.append(f"heard rev {frame['rev']} after {max(self.heard)}")
                self.heard[frame["rev"]] = frame
                self.heard_on.setdefault(frame.get("message", {}).get("client_id", ""), release)


async def send(socket: ClientConnection, **frame: Any) -> None:
    await socket.send(json.dumps(frame))


async def gather_people(url: str, *, people: int, a_room: int) -> list[Talker]:
    """Register *people*, *a_room* of them to each room."""
    talkers: list[Talker] = []
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
        room_id = ""
        for at in range(people):
            name = f"talker-{at}-{random.randrange(10**9)}"
            made = await http.post("/auth/register", json={"username": name, "password": "correct horse battery"})
            token = made.json()["access_token"]
            who = {"Authorization": f"Bearer {token}"}
            if at % a_room == 0:
                room = await http.post("/rooms", json={"name": f"cafe-☕ {name}"}, headers=who)
                room_id = room.json()["room"]["id"]
            else:
                (await http.post(f"/rooms/{room_id}/join", headers=who)).raise_for_status()
            talkers.append(Talker(url, token, room_id, name))
    return talkers


async def history(url: str, talker: Talker) -> list[dict[str, Any]]:
    """Every message of the talker's room, oldest first."""
    found: list[dict[str, Any]] = []
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
        who = {"Authorization": f"Bearer {talker.token}"}
        while True:
            after = found[-1]["seq"] if found else 0
            answer = await http.get(f"/rooms/{talker.room_id}/messages?limit=100&after={after}", headers=who)
            page = answer.json()
            found += page["messages"]
            if not page["has_more"]:
                return found
