"""The published vectors: inputs and verdicts that smoke and other implementations read too."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat import text
from chat.text import TextFault

FILE = Path(__file__).resolve().parents[3] / "smoke" / "text_vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="ascii"))
NAMES: dict[str, Callable[[str], text.RoomName | text.UserName]] = {
    "room_name": text.room_name,
    "username": text.username,
}
STRINGS: dict[str, Callable[[str], str]] = {
    "content": text.content,
    "emoji": text.emoji,
    "opaque_id": text.opaque_id,
    "password": text.password,
    "preview": text.preview,
}


def given(vector: dict[str, Any]) -> str:
    return str(vector["input"]) * int(vector.get("times", 1))


def named(vector: dict[str, Any]) -> str:
    return f"{vector['field']}: {vector['why']}"


def identity(field: str, value: str) -> str:
    return NAMES[field](value).key if field in NAMES else STRINGS[field](value)


def looks(value: str) -> set[str]:
    return set(text.username(value).lookalikes)


@pytest.mark.parametrize("vector", VECTORS, ids=named)
def test_the_verdict_is_the_published_one(vector: dict[str, Any]) -> None:
    check = {**NAMES, **STRINGS}[vector["field"]]
    try:
        check(given(vector))
        verdict = "ok"
    except TextFault as fault:
        verdict = fault.code
    assert verdict == vector["verdict"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if "key" in v], ids=named)
def test_display_and_key_are_the_published_ones(vector: dict[str, Any]) -> None:
    name = NAMES[vector["field"]](given(vector))
    assert (name.display, name.key) == (vector["display"], vector["key"])


@pytest.mark.parametrize("vector", [v for v in VECTORS if "stored" in v], ids=named)
def test_what_is_stored_is_the_published_form(vector: dict[str, Any]) -> None:
    assert STRINGS[vector["field"]](given(vector)) == vector["stored"] * vector.get("stored_times", 1)


@pytest.mark.parametrize("vector", [v for v in VECTORS if "same_as" in v or "differs_from" in v], ids=named)
def test_what_is_the_same_and_what_differs_is_as_published(vector: dict[str, Any]) -> None:
    field, own = vector["field"], identity(vector["field"], given(vector))
    assert {identity(field, other) for other in vector.get("same_as", [])} <= {own}
    assert own not in {identity(field, other) for other in vector.get("differs_from", [])}


@pytest.mark.parametrize("vector", [v for v in VECTORS if "confusable_with" in v], ids=named)
def test_what_is_confusable_is_as_published(vector: dict[str, Any]) -> None:
    for other in vector["confusable_with"]:
        if vector["field"] == "username":
            assert text.username(other).skeleton in looks(given(vector))
            assert text.username(given(vector)).skeleton in looks(other)  # whichever comes first
        else:
            assert text.room_name(other).skeleton == text.room_name(given(vector)).skeleton


@pytest.mark.parametrize("vector", [v for v in VECTORS if "not_confusable_with" in v], ids=named)
def test_what_is_not_confusable_is_as_published(vector: dict[str, Any]) -> None:
    for other in vector["not_confusable_with"]:
        assert not looks(other) & looks(given(vector))


def test_every_vector_is_there_once_and_says_why() -> None:
    seen = Counter((vector["field"], given(vector)) for vector in VECTORS)
    assert [key for key, count in seen.items() if count > 1] == []
    assert all(vector["why"] for vector in VECTORS)


def test_every_code_of_the_policy_has_vectors() -> None:
    codes = {vector["verdict"] for vector in VECTORS}
    assert codes == {
        "ok",
        "invalid_unicode",
        "invalid_field",
        "name_empty",
        "name_too_long",
        "content_empty",
        "content_too_long",
        "invalid_emoji",
        "username_taken",
    }
