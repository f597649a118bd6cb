"""What is generated from the served documents is answered as they say: calls by schemathesis, frames by hypothesis."""

import asyncio
import contextlib
import json
import secrets
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from tests.chat import contract
from tests.chat.server import Account, Http, Server, Socket, open_socket

QUICK, THOROUGH = 4, 300  # examples of each call
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
ENDS_THE_SESSION = {"/auth/logout"}


def someone(server: Server) -> Account:
    """A new account."""

    async def register() -> Account:
        async with Http(server) as http:
            return await http.register()

    return asyncio.run(register())


def calls(server: Server) -> Any:
    """The served document, with real ids to try besides made-up ones."""
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


def try_calls(server: Server, *, examples: int, both_ways: bool) -> int:
    """Send what the document lets and what it forbids; every answer is a documented one. How many calls there are.

    Unless *both_ways*, every other call is sent what it lets and the rest what it forbids.
    """
    ann, tried = someone(server), 0
    for result in calls(server).get_all_operations():
        operation = result.ok()
        if operation.path in ENDS_THE_SESSION:
            continue
        tried += 1
        for mode in MODES if both_ways else MODES[tried % 2 :][:1]:
            _try_call(operation, ann, mode=mode, examples=examples)
    return tried


def _try_call(operation: Any, ann: Account, *, mode: Any, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        response = case.call(headers=ann.headers)
        answer = httpx.Response(response.status_code, headers=_headers(response), content=response.content)
        contract.check_answer(case.method, case.formatted_path, answer)

    with contextlib.suppress(Unsatisfiable):  # a call that takes nothing cannot be called wrongly
        send()


def _headers(response: Any) -> dict[str, str]:
    return {name.lower(): ", ".join(values) for name, values in response.headers.items()}


def test_generated_calls_are_answered_as_the_document_says(roomy: Server) -> None:
    assert try_calls(roomy, examples=QUICK, both_ways=False) >= 25


async def test_what_generated_calls_do_not_reach_is_documented_too(shared_server: Server) -> None:
    async with Http(shared_server) as http:
        ann = await http.register()
        for path in ("/metrics", "/openapi.json", "/asyncapi.json"):
            assert (await http.call("GET", path)).status_code == 200  # held against the document, as every answer is
        too_long = await http.call("GET", "/rooms", by=ann, params={"query": "x" * 5_000})
    assert (too_long.status_code, too_long.json()["code"]) == (400, "name_too_long")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_generated_calls_are_answered_as_the_document_says(roomy: Server) -> None:
    assert try_calls(roomy, examples=THOROUGH, both_ways=True) >= 25


def values(schema: dict[str, Any], document: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit *schema*, of the few forms that the document has."""
    if "$ref" in schema:
        return values(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if "anyOf" in schema:
        return st.one_of([values(option, document) for option in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object" if "properties" in schema:
            inner = {name: values(found, document) for name, found in schema["properties"].items()}
            required = {name: inner.pop(name) for name in schema["required"]}
            return st.fixed_dictionaries(required, optional=inner)
        case "object":
            return st.dictionaries(STRINGS, values(schema["additionalProperties"], document), max_size=5)
        case "string":
            return STRINGS
        case "integer":
            return st.integers(-(2**70), 2**70)
        case "null":
            return st.none()
        case other:
            raise AssertionError(f"a form of schema that this test does not know: {other}")


STRINGS = st.text(st.characters(codec="utf-8"), max_size=40) | st.text(st.characters(), max_size=5)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=8,
)


def frames_of(document: dict[str, Any], real: dict[str, Any]) -> st.SearchStrategy[str]:
    """Commands as the document has them, some with *real* values, some spoiled, and text that is no command at all."""
    messages = document["components"]["messages"]
    names = [ref["$ref"].rpartition("/")[2] for ref in document["operations"]["command"]["messages"]]
    good = st.one_of([values(messages[name]["payload"], document) for name in names])
    useful = good.map(lambda made: made | {key: value for key, value in real.items() if key in made} | {"id": "x"})
    spoiled = st.tuples(useful, st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=3)).map(
        lambda pair: pair[0] | pair[1]
    )
    as_text = st.one_of(good, useful, useful, spoiled, ANYTHING).map(json.dumps)
    return as_text | st.text(st.characters(codec="utf-8"), max_size=200)


FIELDS = ["type", "id", "room_id", "message_id", "content", "client_id", "emoji", "seq", "epoch", "rooms", "other"]


def made_frames(strategy: st.SearchStrategy[str], *, count: int) -> list[str]:
    """Some frames of the strategy, much the same on every run."""
    made: list[str] = []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def keep(raw: str) -> None:
        made.append(raw)

    keep()
    return made


# What 400 made-up frames nearly always hold, and must.
SURE = ("no json", '{"type":"typing","id":"x"}', r'{"type":"typing","id":"x","room_id":"\ud800"}')


async def try_frames(server: Server, *, count: int) -> None:
    """Each frame gets exactly one answer, as the document has it, and nothing is closed."""
    async with Http(server) as http:
        ann = await http.register()
        room = await http.create_room(ann)
        message = await http.send(ann, room["id"], "hello")
        document = (await http.client.get("/asyncapi.json")).json()
        socket = await open_socket(ann)
        real = {"room_id": room["id"], "message_id": message["id"], "emoji": "👍", "epoch": socket.hello["epoch"]}
        codes = set()
        made = await asyncio.to_thread(made_frames, frames_of(document, real), count=count)
        for raw in (*SURE, *made):
            codes.add((await answer_to(socket, raw)).get("code"))
        assert (await socket.ask("ping"))["type"] == "pong"
        await socket.close()
        assert codes >= {None, "invalid_json", "missing_field", "invalid_field", "invalid_unicode"}
        assert "internal" not in codes


async def answer_to(socket: Socket, raw: str) -> dict[str, Any]:
    """The one answer to *raw*: what comes before the answer to a ping sent after it."""
    await socket.send(raw)
    after = f"after-{secrets.token_hex(8)}"  # hypothesis tries what it finds in the code, so no constant
    await socket.send({"type": "ping", "id": after})
    answers: list[dict[str, Any]] = []
    while True:
        frame = await socket.receive()
        if frame.get("re") == after:
            assert len(answers) == 1, (raw, answers)
            return answers[0]
        if "re" in frame:
            answers.append(frame)


async def test_generated_frames_are_answered_as_the_document_says(roomy: Server) -> None:
    await try_frames(roomy, count=400)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_many_generated_frames_are_answered_as_the_document_says(roomy: Server) -> None:
    await try_frames(roomy, count=20_000)
