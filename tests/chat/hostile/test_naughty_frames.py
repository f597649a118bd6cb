"""Every naughty string through every field of every frame: the policy's verdict, and the socket stays open."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from chat import text
from chat.protocol.commands import COMMANDS
from chat.protocol.errors import Code
from tests.chat.naughty import naughty
from tests.chat.server import Http, Server, Socket, connected

WINDOW = 200  # frames under way
SHARE = 16  # the fast test deals the strings out: this part of the product
NAMELESS = 90  # frames in a row that may have no usable id
FRAME_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Field:
    """One field of one frame: what the policy says of a string in it, and what may follow if it is taken."""

    kind: str
    name: str
    rule: Callable[[str], object] = text.gate
    answers: frozenset[str | None] = frozenset({None})
    shown: Callable[[dict[str, Any]], str] | None = None
    kept: Callable[[str], str] = str
    value: Callable[[str], Any] = str  # what stands in the field

    def codes(self, string: str) -> frozenset[str | None]:
        """What *string* may be answered with."""
        try:
            self.rule(string)
        except text.TextFault as fault:
            return frozenset({fault.code})
        return self.answers


def one_of(*codes: Code | None) -> frozenset[str | None]:
    return frozenset(code.value if code is not None else None for code in codes)


NO_ROOM, NO_MESSAGE, INVALID = Code.ROOM_NOT_FOUND, Code.MESSAGE_NOT_FOUND, Code.INVALID_FIELD

FIELDS = (
    *(Field(kind, "id", text.opaque_id, one_of(None), lambda a: str(a["re"])) for kind in COMMANDS if kind != "auth"),
    Field("auth", "id", text.opaque_id, one_of(Code.UNAUTHORIZED), lambda a: str(a["re"])),
    Field("ping", "type", answers=one_of(Code.UNKNOWN_TYPE)),
    Field("ping", "other", rule=lambda _: None),
    Field("message", "content", text.content, one_of(None), lambda a: str(a["message"]["content"]),
          lambda string: string.replace("\r\n", "\n")),
    Field("message", "client_id", text.opaque_id, one_of(None), lambda a: str(a["message"]["client_id"])),
    Field("message", "room_id", answers=one_of(NO_ROOM)),
    Field("react", "emoji", text.emoji, one_of(None), lambda a: " ".join(a["reactions"]), text.emoji),
    Field("react", "message_id", answers=one_of(NO_MESSAGE)),
    Field("unreact", "emoji", text.emoji, one_of(None), lambda a: " ".join(a["reactions"]), lambda _: ""),
    Field("unreact", "message_id", answers=one_of(NO_MESSAGE)),
    Field("view", "room_id", answers=one_of(NO_ROOM)),
    Field("read", "room_id", answers=one_of(NO_ROOM)),
    Field("read", "seq", answers=one_of(INVALID)),
    Field("typing", "room_id", answers=one_of(NO_ROOM)),
    Field("resume", "epoch"),
    Field("resume", "rooms", value=lambda string: {string: 0}),
    Field("resume", "rooms", answers=one_of(INVALID)),
    Field("auth", "access_token", answers=one_of(Code.UNAUTHORIZED)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """An open socket, and good values for every field."""

    socket: Socket
    good: dict[str, Any]


@pytest.fixture
async def stage(roomy: Server) -> AsyncIterator[Stage]:
    async with Http(roomy) as http:
        ann = await http.register()
        room = await http.create_room(ann)
        message = await http.send(ann, room["id"], "hello")
        async with connected(ann) as socket:
            good = {
                "room_id": room["id"],
                "message_id": message["id"],
                "content": "hi",
                "emoji": "👍",
                "seq": 0,
                "epoch": socket.hello["epoch"],
                "rooms": {room["id"]: 1},
                "access_token": ann.access_token,
            }
            yield Stage(socket, good)


NEEDED = {
    "message": ("room_id", "content"),
    "react": ("message_id", "emoji"),
    "unreact": ("message_id", "emoji"),
    "view": ("room_id",),
    "read": ("room_id", "seq"),
    "typing": ("room_id",),
    "resume": ("epoch", "rooms"),
    "auth": ("access_token",),
    "ping": (),
}


def frame(stage: Stage, field: Field, string: str, name: str) -> str:
    """The command with *string* in its field, everything else good."""
    good = {"type": field.kind, "id": name} | {key: stage.good[key] for key in NEEDED[field.kind]}
    if field.kind == "auth":
        good["access_token"] = "not a token"
    return json.dumps(good | {field.name: field.value(string)}, ensure_ascii=not _carried(string))


def _carried(string: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in string)


async def ask_all(stage: Stage, field: Field, strings: Sequence[str]) -> list[dict[str, Any]]:
    """The answers to the field's frames, in order; between them pings, so that frames without an id are not in a row.

    Reactions are taken back as they come, since a message has only so many.
    """
    frames: list[str] = []
    wanted: list[int] = []
    for place, string in enumerate(strings):
        wanted.append(len(frames))
        frames.append(frame(stage, field, string, f"n{place}"))
        if field.kind in {"react", "unreact"} and field.name == "emoji":
            undo = Field("unreact", "emoji")
            frames.append(frame(stage, undo, string, f"u{place}"))
        elif not place % NAMELESS:
            frames.append(json.dumps({"type": "ping", "id": "between"}))
    answers = await _pipelined(stage.socket, frames)
    return [answers[place] for place in wanted]


async def _pipelined(socket: Socket, frames: list[str]) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []

    async def read() -> None:
        while len(answers) < len(frames):
            answer = await socket.receive()
            socket.seen.clear()
            if "re" in answer:
                answers.append(answer)
                under_way.release()

    under_way = asyncio.Semaphore(WINDOW)
    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        for raw in frames:
            await under_way.acquire()
            await socket.send(raw)
    return answers


async def send_to(field: Field, strings: Sequence[str], *, stage: Stage) -> None:
    """Send *strings* in *field*, and judge every answer."""
    sendable = [s for s in strings if len(frame(stage, field, s, "n0000").encode()) <= FRAME_BYTES]
    answers = await ask_all(stage, field, sendable)
    for string, answer in zip(sendable, answers, strict=True):
        arrived = json.loads(json.dumps(string))  # two halves of a surrogate pair arrive as what they spell
        assert answer.get("code") in field.codes(arrived), (field, string, answer)
        if "code" not in answer and field.shown is not None:
            assert field.shown(answer) == field.kept(arrived), (field, string, answer)
        if field.name == "id" and answer.get("field") == "id":
            assert answer["re"] is None, answer
    assert (await stage.socket.ask("ping"))["type"] == "pong"


async def test_naughty_strings_in_frames_get_the_policys_verdict_and_close_nothing(stage: Stage) -> None:
    for place, field in enumerate(FIELDS):
        await send_to(field, naughty()[place % SHARE :: SHARE], stage=stage)


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{field.kind}.{field.name}")
async def test_every_naughty_string_in_every_field_of_every_frame(stage: Stage, field: Field) -> None:
    assert len(naughty()) >= 2000
    await send_to(field, naughty(), stage=stage)


async def test_what_was_accepted_is_heard_and_read_as_it_was_acknowledged(stage: Stage, roomy: Server) -> None:
    room_id = stage.good["room_id"]
    async with Http(roomy) as http:
        bob = await http.register()
        await http.join(bob, room_id)
        async with connected(bob) as b:
            await b.ask("view", room_id=room_id)
            strings = [s for s in naughty() if len(s) < 1000][::10]
            answers = await ask_all(stage, Field("message", "content"), strings)
            acked = [answer["message"] for answer in answers if answer["type"] == "ack"]
            assert len(acked) > len(strings) / 2
            heard = [(await b.expect("message"))["message"] for _ in acked]
            assert heard == acked
        page = await http.call("GET", f"/rooms/{room_id}/messages?limit=100", by=bob)
        assert page.json()["messages"] == acked[-100:]
