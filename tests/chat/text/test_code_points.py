"""Every code point has its verdict, and the pinned tables are what they say they are."""

import sys
import unicodedata

import emoji
import pytest

from chat import text
from chat.text import TextFault, pinned
from chat.text.tables import generate, graphic_ranges, rgi_emoji

SURROGATES = range(0xD800, 0xE000)
CONTROLS = {chr(point) for point in (*range(0x20), *range(0x7F, 0xA0))}
EMOJI_PACKAGE = "2.16.0"
IN_UNICODE_16 = "\U000105d2\u0307"  # there it composes to U+105C9


ALIKE = {"Co": 101, "Cn": 101, "Lo": 7}  # of 137,000 private, 830,000 unassigned, 127,000 mostly Han: each nth
EVERY = pytest.mark.parametrize(
    "alike", [ALIKE, pytest.param({"Co": 101, "Cn": 11}, marks=pytest.mark.slow)], ids=["some", "all"]
)


def code_points(alike: dict[str, int]) -> list[str]:
    """Return every code point that is no surrogate, but of each category in *alike* only every nth."""
    chars = (chr(point) for point in range(sys.maxunicode + 1) if point not in SURROGATES)
    return [char for char in chars if ord(char) % alike.get(unicodedata.category(char), 1) == 0]


def is_room_name(raw: str) -> bool:
    try:
        text.room_name.__wrapped__(raw)
    except TextFault:
        return False
    return True


@EVERY
def test_a_room_name_takes_letters_marks_numbers_punctuation_symbols_and_spaces_of_unicode_14(
    alike: dict[str, int],
) -> None:
    graphic = {chr(point) for first, last in graphic_ranges() for point in range(first, last + 1)}
    allowed = graphic | {known for known in rgi_emoji() if len(known) == 1}
    wrong = [char for char in code_points(alike) if is_room_name(f"a{char}") != (char in allowed)]
    assert wrong == []


@EVERY
def test_every_code_point_gets_a_verdict_in_a_username(alike: dict[str, int]) -> None:
    codes = set()
    for char in code_points(alike):
        try:
            text.username.__wrapped__(f"a{char}")
        except TextFault as fault:
            codes.add(fault.code)
    assert codes <= {"invalid_field", "invalid_unicode", "username_taken"}  # U+01C1 looks like two l: "all"


@EVERY
def test_content_refuses_controls_and_nothing_else(alike: dict[str, int]) -> None:
    refused = set()
    for char in code_points(alike):
        try:
            text.content(f"a{char}")
        except TextFault:
            refused.add(char)
    assert refused == CONTROLS - {"\t", "\n"}


def test_the_table_of_graphic_characters_is_that_of_unicode_14() -> None:
    table = {point for first, last in graphic_ranges() for point in range(first, last + 1)}
    ours = {point for point in range(sys.maxunicode + 1) if generate.graphic(chr(point))}
    assert table == ours if unicodedata.unidata_version == pinned.UNICODE_VERSION else table < ours


def test_the_table_of_emoji_is_that_of_the_package_it_was_made_from() -> None:
    ours = set(generate.emoji_file().splitlines()[1:])
    assert set(rgi_emoji()) == ours if emoji.__version__ == EMOJI_PACKAGE else set(rgi_emoji()) <= ours


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC"])
def test_a_newer_python_normalises_as_unicode_14_does(form: pinned.Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "_EXACT", False)
    for raw in ("cafe\u0301 \ufb01 \u2460 a\u0316\u0301", "\ud55c\u1112\u1161\u11ab", "\ue000\u0301"):
        assert pinned.normalize(form, raw) == unicodedata.normalize(form, raw)
    assert pinned.normalize(form, IN_UNICODE_16) == IN_UNICODE_16
