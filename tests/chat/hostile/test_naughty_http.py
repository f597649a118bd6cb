"""Every naughty string through every place of every HTTP call: what the text policy says, and never a 5xx."""

import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from chat import text
from chat.protocol.errors import Code
from tests.chat.hostile.wire import Answer, pipelined, request
from tests.chat.naughty import naughty
from tests.chat.server import PASSWORD, Account, Http, Server, nonce

MAX_BYTES = 64 * 1024
MAX_TARGET = 8_000  # longer request lines are HTTP's affair
SHARE = 48  # the fast test deals the strings out: this part of the product


@dataclass(frozen=True, slots=True)
class Stage:
    """Who asks, and what they ask about."""

    ann: Account
    room_id: str
    message_id: str
    others: "itertools.count[int]"


Rule = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Place:
    """One place of one call: the request with a string in it, the policy's verdict on the string, what may follow."""

    name: str
    ask: Callable[[Stage, str], bytes]
    rule: Rule = text.gate
    answers: frozenset[str | None] = frozenset({None})
    shown: Callable[[Any], str] | None = None
    kept: Callable[[str], str] | None = None
    in_path: bool = False

    def judge(self, string: str, sent: bytes, answer: Answer) -> None:
        """The answer is the one that the policy asks for, and what was accepted comes back by its rule."""
        answer.check((self.name, string))
        if self.in_path:
            string = string.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
            if answer.code in _NO_ROUTE and (not string or "/" in string):
                return
        if (wanted := verdict(self.rule, string)) is not None:
            allowed: frozenset[str | None] = frozenset({wanted})
        else:
            allowed = self.answers
        if len(sent) > MAX_BYTES:
            allowed |= {Code.PAYLOAD_TOO_LARGE.value}
        assert answer.code in allowed, (self.name, string[:80], answer.code, allowed)
        if answer.code is None and self.shown is not None and self.kept is not None:
            assert self.shown(answer.json) == self.kept(string), (self.name, string)


def verdict(rule: Rule, string: str) -> str | None:
    """The code that *rule* refuses *string* with, None if it takes it."""
    try:
        rule(string)
    except text.TextFault as fault:
        return fault.code
    return None


def pct(string: str) -> str:
    """*string* as one segment of a path; what UTF-8 cannot carry becomes bytes that are not UTF-8."""
    return quote(string.encode("utf-8", "surrogatepass"), safe="")


def in_body(method: str, path: str, field: str, *, public: bool = False, **rest: Any) -> Callable[[Stage, str], bytes]:
    """Build requests with the string in *field* of the body; values of *rest* that are callable are called."""

    def build(stage: Stage, string: str) -> bytes:
        body = {key: value(stage) if callable(value) else value for key, value in rest.items()} | {field: string}
        target = path.format(room=stage.room_id, message=stage.message_id)
        return request(method, target, token=None if public else stage.ann.access_token, body=body)

    return build


def in_place(
    name: str, method: str, path: str, *wanted: Code | None, body: Any = None, rule: Rule = text.gate
) -> Place:
    """A segment of the path."""
    return Place(name, in_target(method, path, body), rule, codes(*wanted), in_path=True)


def in_target(method: str, path: str, body: Any = None) -> Callable[[Stage, str], bytes]:
    """Build requests with the string in the path or query, where *path* says `{string}`."""

    def build(stage: Stage, string: str) -> bytes:
        target = path.format(room=stage.room_id, message=stage.message_id, string=pct(string))
        return request(method, target, token=stage.ann.access_token, body=body)

    return build


def in_header(name: str, path: str = "/me") -> Callable[[Stage, str], bytes]:
    """Build requests with the string in a header, as far as a header can carry it."""

    def build(stage: Stage, string: str) -> bytes:
        raw = (
            "".join(c for c in string if c >= " " and c != "\x7f")[:4000]
            .encode("utf-8", "surrogatepass")
            .decode("latin-1")
        )
        return request("GET", path, token=stage.ann.access_token, headers=[(name, raw)])

    return build


def someone(stage: Stage) -> str:
    """A name that is free."""
    return nonce(f"n{next(stage.others)}")


def codes(*names: Code | None) -> frozenset[str | None]:
    """The codes that may answer a string which the policy takes."""
    return frozenset(name.value if name is not None else None for name in names)


TAKEN, NO_ROOM, NO_MESSAGE = Code.USERNAME_TAKEN, Code.ROOM_NOT_FOUND, Code.MESSAGE_NOT_FOUND
BAD, DENIED, INVALID = Code.BAD_CREDENTIALS, Code.UNAUTHORIZED, Code.INVALID_FIELD
RENAMED = (None, Code.ROOM_NAME_TAKEN)
_NO_ROUTE = {Code.NOT_FOUND.value, Code.METHOD_NOT_ALLOWED.value}  # an empty segment, or more than one

BODIES = (
    Place(
        "register.username",
        in_body("POST", "/auth/register", "username", public=True, password=PASSWORD),
        text.username,
        codes(None, TAKEN),
        lambda json: str(json["user"]["username"]),
        lambda string: text.username(string).display,
    ),
    Place(
        "register.password",
        in_body("POST", "/auth/register", "password", public=True, username=someone),
        text.password,
    ),
    Place(
        "register.invite",
        in_body("POST", "/auth/register", "invite", public=True, username=someone, password=PASSWORD),
    ),
    Place("login.username", in_body("POST", "/auth/login", "username", public=True, password="x"), answers=codes(BAD)),
    Place(
        "login.password",
        in_body("POST", "/auth/login", "password", public=True, username=lambda stage: stage.ann.username),
        answers=codes(BAD),
    ),
    Place(
        "refresh.refresh_token", in_body("POST", "/auth/refresh", "refresh_token", public=True), answers=codes(DENIED)
    ),
    Place(
        "password.current_password",
        in_body("POST", "/auth/password", "current_password", new_password=PASSWORD),
        answers=codes(BAD),
    ),
    Place(
        "password.new_password",
        in_body("POST", "/auth/password", "new_password", current_password="not mine"),
        text.password,
        codes(BAD),
    ),
    Place("me.password", in_body("DELETE", "/me", "password"), answers=codes(BAD)),
    Place(
        "create.name",
        in_body("POST", "/rooms", "name"),
        text.room_name,
        codes(*RENAMED),
        lambda json: str(json["room"]["name"]),
        lambda string: text.room_name(string).display,
    ),
    Place(
        "rename.name",
        in_body("PATCH", "/rooms/{room}", "name"),
        text.room_name,
        codes(*RENAMED),
        lambda json: str(json["room"]["name"]),
        lambda string: text.room_name(string).display,
    ),
    Place(
        "send.content",
        in_body("POST", "/rooms/{room}/messages", "content"),
        text.content,
        codes(None),
        lambda json: str(json["message"]["content"]),
        lambda string: string.replace("\r\n", "\n"),
    ),
    Place(
        "send.client_id",
        in_body("POST", "/rooms/{room}/messages", "client_id", content="hi"),
        text.opaque_id,
        codes(None),
        lambda json: str(json["message"]["client_id"]),
        str,
    ),
    Place("read.seq", in_body("POST", "/rooms/{room}/read", "seq"), answers=codes(INVALID)),
    Place(
        "unknown field",
        in_body("POST", "/auth/login", "other", public=True, username="a", password="b"),
        lambda _: None,
        codes(BAD),
    ),
)

_REACTION, _THUMB = "/messages/{message}/reactions/{string}", "/messages/{string}/reactions/%F0%9F%91%8D"

PATHS = (
    in_place("sessions.id", "DELETE", "/auth/sessions/{string}", Code.NOT_FOUND),
    in_place("room", "GET", "/rooms/{string}", NO_ROOM),
    in_place("room.patch", "PATCH", "/rooms/{string}", NO_ROOM, body={"name": "x"}),
    in_place("room.delete", "DELETE", "/rooms/{string}", NO_ROOM),
    in_place("room.join", "POST", "/rooms/{string}/join", NO_ROOM),
    in_place("room.leave", "POST", "/rooms/{string}/leave", NO_ROOM),
    in_place("room.members", "GET", "/rooms/{string}/members", NO_ROOM),
    in_place("room.history", "GET", "/rooms/{string}/messages", NO_ROOM),
    in_place("room.send", "POST", "/rooms/{string}/messages", NO_ROOM, body={"content": "x"}),
    in_place("room.events", "GET", "/rooms/{string}/events", NO_ROOM),
    in_place("room.read", "POST", "/rooms/{string}/read", NO_ROOM, body={"seq": 0}),
    in_place("member.id", "DELETE", "/rooms/{room}/members/{string}", Code.NOT_FOUND),
    in_place("react.message", "PUT", _THUMB, NO_MESSAGE),
    in_place("unreact.message", "DELETE", _THUMB, NO_MESSAGE),
    in_place("react.emoji", "PUT", _REACTION, None, Code.TOO_MANY, rule=text.emoji),
    in_place("unreact.emoji", "DELETE", _REACTION, None, rule=text.emoji),
    in_place("unknown path", "GET", "/nothing/{string}", Code.NOT_FOUND, rule=lambda _: None),
)

_HISTORY = "/rooms/{room}/messages"
NUMBER = codes(INVALID, None)
QUERIES = (
    Place("browse.query", in_target("GET", "/rooms?query={string}"), text.room_query),
    Place("browse.cursor", in_target("GET", "/rooms?cursor={string}"), answers=NUMBER),
    Place("browse.limit", in_target("GET", "/rooms?limit={string}"), answers=NUMBER),
    Place("history.before", in_target("GET", f"{_HISTORY}?before={{string}}"), answers=NUMBER),
    Place("history.after", in_target("GET", f"{_HISTORY}?after={{string}}"), answers=NUMBER),
    Place("members.online", in_target("GET", "/rooms/{room}/members?online={string}"), answers=NUMBER),
    Place("events.after", in_target("GET", "/rooms/{room}/events?after={string}"), answers=NUMBER),
    Place("unknown parameter", in_target("GET", "/me?x={string}"), lambda _: None),
)

HEADERS = (
    Place("User-Agent", in_header("User-Agent"), lambda _: None),
    Place("X-Forwarded-For", in_header("X-Forwarded-For"), lambda _: None),
    Place("Origin", in_header("Origin"), lambda _: None, codes(Code.ORIGIN_NOT_ALLOWED)),
    Place("Accept", in_header("Accept"), lambda _: None),
)

PLACES = (*BODIES, *PATHS, *QUERIES, *HEADERS)


@pytest.fixture
async def stage(roomy: Server) -> AsyncIterator[Stage]:
    async with Http(roomy) as http:
        ann = await http.register()
        room = await http.create_room(ann)
        message = await http.send(ann, room["id"], "hello")
        yield Stage(ann, room["id"], message["id"], itertools.count())


async def send_to(places: tuple[Place, ...], strings: list[list[str]], *, stage: Stage) -> None:
    """Send to each place its strings, and judge every answer."""
    asked = []
    for place, given in zip(places, strings, strict=True):
        for string in given:
            sent = place.ask(stage, string)
            if place in BODIES or len(sent) < MAX_TARGET:
                asked.append((place, string, sent))
    answers = await pipelined(stage.ann.server, [sent for _, _, sent in asked])
    for (place, string, sent), answer in zip(asked, answers, strict=True):
        body_bytes = sent.partition(b"\r\n\r\n")[2]
        # In JSON two halves of a surrogate pair spell a character; in a URL they are bytes that are not UTF-8.
        arrived = json.loads(json.dumps(string)) if place in BODIES else string
        place.judge(arrived, body_bytes, answer)


async def test_naughty_strings_in_http_calls_get_the_policys_verdict_and_come_back_by_their_rule(stage: Stage) -> None:
    strings = naughty()
    assert len(strings) >= 2000
    dealt = [[s for at, s in enumerate(strings) if (at + place) % SHARE == 0] for place in range(len(PLACES))]
    await send_to(PLACES, dealt, stage=stage)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
async def test_every_naughty_string_in_every_place_of_every_http_call(stage: Stage, place: Place) -> None:
    await send_to((place,), [list(naughty())], stage=stage)
