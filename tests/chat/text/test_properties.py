"""What holds for every text, not only for the chosen ones."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat import text
from chat.text import TextFault, UsernameReserved
from chat.text.graphemes import clusters, exceeds, first
from chat.text.keys import key_of
from chat.text.tables import confusables
from tests.chat.naughty import naughty

UNHURRIED = settings(deadline=None)  # other tests share the cores
ANY_CHARACTER = st.characters(categories=None, codec=None)
PIECES = [piece for piece in naughty() if len(piece) < 12]
TEXT = st.one_of(
    st.text(max_size=20),
    st.text(ANY_CHARACTER, max_size=20),
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join),
)
FLAGS_AND_MORE = st.text(
    st.sampled_from("\U0001f1e9\U0001f1ea\u0301\u200d\ufe0f\U0001f468\u0915\u094d\u0d4ea"), max_size=40
)


def verdict(name: str, raw: str) -> str:
    """Return the key of *raw* as a room name or username, or the code with which it is refused."""
    try:
        return f"key {text.room_name(raw).key if name == 'room' else text.username(raw).key}"
    except TextFault as fault:
        return fault.code


@UNHURRIED
@given(TEXT)
def test_a_room_name_shown_is_a_room_name_with_the_same_display_and_key(raw: str) -> None:
    try:
        name = text.room_name(raw)
    except TextFault:
        return
    assert text.room_name(name.display) == name


@UNHURRIED
@given(TEXT)
def test_a_username_shown_is_a_username_with_the_same_display_and_key(raw: str) -> None:
    try:
        name = text.username(raw)
    except TextFault:
        return
    assert text.username(name.display) == name


@UNHURRIED
@given(TEXT)
def test_a_key_is_its_own_key_and_never_empty(raw: str) -> None:
    try:
        key = text.room_name(raw).key
    except TextFault:
        return
    assert key
    assert key_of(key) == key


@UNHURRIED
@given(TEXT)
def test_nfc_and_nfd_get_the_same_verdict_and_key(raw: str) -> None:
    for kind in ("room", "user"):
        composed = verdict(kind, unicodedata.normalize("NFC", raw))
        assert verdict(kind, unicodedata.normalize("NFD", raw)) == composed
        assert verdict(kind, raw) == composed


@UNHURRIED
@given(TEXT)
def test_capitals_and_small_letters_are_one_room(raw: str) -> None:
    if verdict("room", raw).startswith("key") and verdict("room", raw.casefold()).startswith("key"):
        assert verdict("room", raw.casefold()) == verdict("room", raw)


@UNHURRIED
@given(TEXT)
def test_a_query_made_of_a_whole_name_is_its_key(raw: str) -> None:
    try:
        key = text.room_name(raw).key
    except TextFault:
        return
    assert text.room_query(raw) == key


@UNHURRIED
@given(TEXT)
def test_signing_in_finds_the_key_that_registering_stored(raw: str) -> None:
    try:
        key: str | None = text.username(raw).key
    except UsernameReserved:
        return
    except TextFault:
        key = None
    assert text.username_key(raw) == key


def test_a_letter_of_another_alphabet_for_one_of_ascii_is_confusable_or_the_same_name() -> None:
    unnoticed = []
    for point, look in confusables().items():
        if point > 0x7F and len(look) == 1 and look.isascii() and look.isalnum():
            try:
                other = text.username(f"x{chr(point)}y")
            except TextFault:
                continue
            latin = text.username(f"x{look}y")
            confusable = latin.skeleton in other.lookalikes and other.skeleton in latin.lookalikes
            if other.key != latin.key and not confusable:
                unnoticed.append(chr(point))
    assert unnoticed == []


@UNHURRIED
@given(TEXT)
def test_content_is_stored_as_sent(raw: str) -> None:
    try:
        stored = text.content(raw)
    except TextFault:
        return
    assert stored == raw.replace("\r\n", "\n")
    assert text.content(stored) == stored


@UNHURRIED
@given(st.text(min_size=6, max_size=40))
def test_a_password_is_the_same_from_every_keyboard(raw: str) -> None:
    def accepted(form: str) -> str | None:
        try:
            return text.password(form)
        except TextFault:
            return None

    assert accepted(unicodedata.normalize("NFD", raw)) == accepted(unicodedata.normalize("NFC", raw)) == accepted(raw)


@UNHURRIED
@given(st.one_of(TEXT, FLAGS_AND_MORE), st.integers(min_value=0, max_value=12))
def test_counting_and_cutting_agree_with_the_clusters(raw: str, limit: int) -> None:
    whole = clusters(raw)
    assert exceeds(raw, limit) == (len(whole) > limit)
    assert first(raw, limit) == "".join(whole[:limit])


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), min_size=60, max_size=120).map("".join))
@settings(UNHURRIED, max_examples=50)
def test_a_preview_ends_where_a_grapheme_ends(raw: str) -> None:
    preview = text.preview(raw)
    assert raw.startswith(preview)
    assert clusters(raw)[:80] == clusters(preview)


@pytest.mark.parametrize("rule", ["content", "emoji", "opaque_id", "password", "room_name", "room_query", "username"])
def test_two_thousand_naughty_strings_get_a_verdict_and_nothing_else(rule: str) -> None:
    assert len(naughty()) >= 2000
    for raw in naughty():
        try:
            getattr(text, rule)(raw)
        except TextFault as fault:
            str(fault).encode("utf-8")  # a verdict can be sent: it holds no lone surrogate


def test_looking_up_a_naughty_username_never_raises() -> None:
    for raw in naughty():
        text.username_key(raw)


def test_the_preview_of_a_naughty_string_is_its_beginning() -> None:
    for raw in naughty():
        assert raw.startswith(text.preview(raw))
