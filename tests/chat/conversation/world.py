"""People on two server processes with one database: their phones, what they do, and what a fresh snapshot shows."""

import asyncio
import json
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from tests.chat import contract
from tests.chat.conversation.line import Cut, open_line
from tests.chat.conversation.model import Broken, Device, Frame
from tests.chat.server import Account, Http, Server, nonce

SETTLED_S = 20.0  # for everything to have reached everybody, on a machine with other things to do
FINAL = {"not_a_member", "room_not_found", "message_not_found", "client_id_conflict"}
ENDS = {1000, 1005, 1006, 1012}  # closes that the tests bring about
WHOLE = Cut()


class Phone:
    """A device of somebody, on its own connection: says, hears, loses the line and asks again."""

    def __init__(self, by: Account, *, faults: list[BaseException]) -> None:
        self.by, self.device, self.faults = by, Device(by.id), faults
        self.pending: dict[str, tuple[str, str]] = {}  # sends without a final answer: client_id -> room, content
        self.acked: dict[str, Frame] = {}
        self.story: deque[str] = deque(maxlen=60)  # the newest of what was said and heard, for a fault's message
        self.line: ClientConnection | None = None
        self.cut = WHOLE  # where the line will break
        self._epoch = ""
        self._answers: dict[str, asyncio.Future[Frame | None]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._ids = iter(range(1_000_000))
        self._one_at_a_time = asyncio.Lock()

    async def connect(self, server: Server, *, cut: Cut = WHOLE) -> None:
        """Hang up, then try once to connect."""
        async with self._one_at_a_time:
            await self._hang_up()
            try:
                line = await open_line(self.by, server, cut=cut)
                hello = json.loads(await line.recv())
            except (OSError, EOFError, WebSocketException) as fault:
                if isinstance(fault, InvalidStatus) and fault.response.status_code != 503:
                    self.fault(fault)
                return
            contract.check_frame(hello)
            self.story.append(f"< {hello}")
            self.line, self.cut = line, cut
            try:
                self.device.connected(hello)
            except Broken as fault:
                self.fault(fault)
            self._listening = asyncio.create_task(self._listen(line))
            self._epoch = hello["epoch"]
            await self.resume()

    async def hang_up(self) -> None:
        """Break the line."""
        async with self._one_at_a_time:
            await self._hang_up()

    async def _hang_up(self) -> None:
        if self.line is not None:
            self.line.transport.abort()
        if self._listening is not None:
            await self._listening

    async def _listen(self, line: ClientConnection) -> None:
        try:
            while True:
                frame = json.loads(raw := await line.recv(decode=True))
                self.story.append(f"< {raw}")
                contract.check_frame(frame)
                self.device.hear(frame)
                if waiting := self._answers.pop(frame.get("re", ""), None):
                    waiting.set_result(frame)
                if self.device.wants:
                    await self.resume()
        except ConnectionClosed:
            if line.close_code not in ENDS:
                self.fault(Broken(f"closed with {line.close_code} {line.close_reason}"))
        except (Broken, AssertionError, KeyError) as fault:
            self.fault(fault)
            line.transport.abort()
        finally:
            self.line = None
            answers, self._answers = self._answers, {}
            for waiting in answers.values():
                waiting.set_result(None)

    def fault(self, fault: BaseException) -> None:
        """Have it raised when the world is next asked."""
        told = "\n".join(self.story)
        self.faults.append(Broken(f"{fault!r}\nof {self.by.username} {self.by.id}, who heard\n{told}"))

    async def resume(self) -> None:
        """Ask for what the device wants to catch up with."""
        rooms = self.device.resuming()
        if rooms:
            await self._send({"type": "resume", "id": f"q{next(self._ids)}", "epoch": self._epoch, "rooms": rooms})

    async def _send(self, frame: Frame) -> bool:
        if self.line is None:
            return False
        self.device.unanswered.append(frame)
        self.story.append(f"> {frame}")
        try:
            await self.line.send(json.dumps(frame))
        except ConnectionClosed:
            return False
        return True

    async def ask(self, type: str, **fields: Any) -> Frame | None:  # noqa: A002 - the contract's word
        """Send a command; its answer, None when the line broke before."""
        name = f"q{next(self._ids)}"
        waiting: asyncio.Future[Frame | None] = asyncio.get_running_loop().create_future()
        self._answers[name] = waiting
        if not await self._send({"type": type, "id": name, **fields}):
            self._answers.pop(name, None)
            return None
        return await waiting

    async def say(self, room_id: str, content: str, client_id: str, *, only_here: bool = False) -> None:
        """Send a message, keeping it for `repeat` unless the answer is final."""
        if client_id not in self.acked:
            self.pending[client_id] = (room_id, content)
        if only_here and self.line is not None:
            self.device.first_here.add(client_id)
        answer = await self.ask("message", room_id=room_id, content=content, client_id=client_id)
        if answer is None:
            return
        if answer["type"] == "ack":
            self.pending.pop(client_id, None)
            first = self.acked.setdefault(client_id, answer["message"])
            if first != answer["message"]:
                self.fault(Broken(f"a repeat is answered as the first: {answer['message']} {first}"))
        elif answer["code"] in FINAL:
            self.pending.pop(client_id, None)
        elif answer["code"] != "unavailable":
            self.fault(Broken(f"an unexpected refusal: {answer}"))

    async def repeat(self) -> None:
        """Send again what has no final answer yet."""
        await asyncio.gather(*(self.say(*where, client_id) for client_id, where in list(self.pending.items())))


class World:
    """Some people with two phones each, some rooms, and two servers."""

    def __init__(self, servers: list[Server], https: list[Http]) -> None:
        self.servers, self.https = servers, https
        self.faults: list[BaseException] = []
        self.people: list[Account] = []
        self.rooms: list[Frame] = []  # as they were created
        self.phones: list[list[Phone]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._restarts = [asyncio.Lock() for _ in servers]

    async def open(self, *, people: int, rooms: int) -> None:
        """Everybody registers and gets two phones; the first ones make rooms, which all but the last join."""
        for n in range(people):
            self.people.append(await self.https[n % 2].register())
        self.phones = [[Phone(person, faults=self.faults) for _ in self.servers] for person in self.people]
        for n in range(rooms):
            room = await self.https[n % 2].create_room(self.people[n], nonce(f"room {n}"))
            self.rooms.append(room)
            for person in self.people[:-1]:
                await self.https[n % 2].join(person, room["id"])

    def begin(self, act: Coroutine[Any, Any, Any]) -> None:
        """Have something done while others go on."""
        task = asyncio.get_running_loop().create_task(act)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.faults.append(fault)

    async def quiet(self) -> None:
        """Wait until all that was begun has ended; raise the first fault."""
        while self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=SETTLED_S * 3)
            assert not late, late
        for fault in self.faults:
            raise fault

    async def call(self, by: int, on: int, method: str, path: str, **body: object) -> httpx.Response | None:
        """One call; None when it got no answer."""
        try:
            return await self.https[on].call(method, path, by=self.people[by], json=body or None)
        except httpx.TransportError:
            return None

    async def restart(self, on: int, *, number: signal.Signals) -> None:
        """End a server and start it again."""
        async with self._restarts[on]:
            await asyncio.to_thread(self.servers[on].stop, number)
            await asyncio.to_thread(self.servers[on].start)

    async def settle(self) -> None:
        """Let everything end, everybody connect and repeat; then all must see what a fresh snapshot shows."""
        await self.quiet()
        await until(self._nothing_open, what=lambda: "somebody cannot connect or be answered")
        await asyncio.gather(*(self._check(n) for n in range(len(self.people))))
        await self.quiet()

    async def close(self) -> None:
        """Everybody hangs up."""
        await asyncio.gather(*(phone.hang_up() for phones in self.phones for phone in phones))

    async def _nothing_open(self) -> bool:
        for phones in self.phones:
            for phone, server in zip(phones, self.servers, strict=True):
                if phone.line is None or phone.cut != WHOLE:
                    await phone.connect(server)
                await phone.repeat()
        await self.quiet()
        return all(phone.line is not None and not phone.pending for phones in self.phones for phone in phones)

    async def _check(self, n: int) -> None:
        by, names = self.people[n], {room["id"]: room["name"] for room in self.rooms}
        shown = await snapshot(self.https[n % 2], by)

        def of(phone: Phone) -> dict[str, Any]:
            return {
                room: phone.device.picture(room, first_name=names[room])
                for room in phone.device.rooms
                if phone.device.known(room)
            }

        async def same() -> bool:
            return all(level(phone.device, shown) and of(phone) == shown for phone in self.phones[n])

        def differences() -> str:
            return "\n".join(difference(phone, shown, of(phone)) for phone in self.phones[n])

        await until(same, what=differences)


def difference(phone: Phone, shown: dict[str, Any], seen: dict[str, Any]) -> str:
    """What a phone shows other than it should."""
    device, said = phone.device, []
    heads = {room: device.known(room) for room in device.rooms}
    wrong = {
        (room, key): (picture[key], seen.get(room, {}).get(key)) for room, picture in shown.items() for key in picture
    }
    said.append(f"{phone.by.username}, connected: {phone.line is not None}, asked {device.asked}, knows up to {heads}")
    said += [f"  {at}: {should}, not {does}" for at, (should, does) in wrong.items() if should != does]
    return "\n".join([*said, f"  rooms {sorted(seen)}, not {sorted(shown)}", *phone.story])


def level(device: Device, shown: dict[str, Any]) -> bool:
    """Whether the device knows all events of its rooms, and is told of no other room."""
    heads = {room: device.known(room) for room in device.rooms}
    return not device.asked and heads == {room: picture["rev"] for room, picture in shown.items()}


async def until(holds: Callable[[], Awaitable[bool]], *, what: Callable[[], str], within_s: float = SETTLED_S) -> None:
    """Poll until it holds."""
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline, what()
        await asyncio.sleep(0.01)


async def snapshot(http: Http, by: Account) -> dict[str, Any]:
    """Everything that *by* can see over HTTP, by room."""
    rooms = (await http.call("GET", "/me/rooms", by=by)).json()["rooms"]
    return {room["room"]["id"]: await picture(http, by, room) for room in rooms}


async def picture(http: Http, by: Account, mine: Frame) -> dict[str, Any]:
    """One of *by*'s rooms as HTTP shows it."""
    room, path = mine["room"], f"/rooms/{mine['room']['id']}"
    members = (await http.call("GET", f"{path}/members", by=by)).json()["members"]
    assert len(members) == room["member_count"], (members, room)
    return {
        "name": room["name"],
        "owner": room["owner"] and room["owner"]["id"],
        "members": {member["user"]["id"] for member in members},
        "messages": await history(http, by, room["id"]),
        "rev": room["rev"],
        "seq": room["seq"],
        "read_seq": mine["read_seq"],
        "unread": mine["unread"],
    }


async def history(http: Http, by: Account, room_id: str, *, limit: int = 30) -> list[Frame]:
    """All messages of a room, by pages from the newest."""
    messages: list[Frame] = []
    before = ""
    while True:
        answer = await http.call("GET", f"/rooms/{room_id}/messages?limit={limit}{before}", by=by)
        page = answer.json()
        messages = page["messages"] + messages
        if not page["has_more"]:
            return messages
        before = f"&before={messages[0]['seq']}"


async def events(http: Http, by: Account, room_id: str, *, after: int = 0) -> list[Frame]:
    """All durable events of a room after a rev, by pages."""
    found: list[Frame] = []
    while True:
        page = (await http.call("GET", f"/rooms/{room_id}/events?after={after}", by=by)).json()
        found += page["events"]
        if page["complete"]:
            return found
        after = found[-1]["rev"]
