"""Reactions over the whole table of emoji: one spelling each, however the selectors are sent."""

import pytest

from chat import text
from chat.text import TextFault
from chat.text.graphemes import clusters
from chat.text.tables import rgi_emoji

VS16 = "\ufe0f"
TABLE = rgi_emoji()


def refused(raw: str) -> bool:
    try:
        text.emoji(raw)
    except TextFault as fault:
        return fault.code == "invalid_emoji"
    return False


def test_the_table_is_whole() -> None:
    assert len(TABLE) == len(set(TABLE)) == 3963


def test_a_fully_qualified_emoji_is_stored_as_it_is() -> None:
    assert [text.emoji(emoji) for emoji in TABLE] == list(TABLE)


def test_without_any_vs16_it_is_the_same_reaction() -> None:
    assert [text.emoji(emoji.replace(VS16, "")) for emoji in TABLE] == list(TABLE)


def test_with_a_vs16_at_the_end_it_is_the_same_reaction() -> None:
    assert [text.emoji(emoji.removesuffix(VS16) + VS16) for emoji in TABLE] == list(TABLE)


def test_with_each_single_vs16_left_out_it_is_the_same_reaction() -> None:
    for emoji in TABLE:
        for at, char in enumerate(emoji):
            if char == VS16:
                assert text.emoji(emoji[:at] + emoji[at + 1 :]) == emoji


def test_with_a_vs16_after_every_part_of_a_zwj_sequence_it_is_the_same_reaction() -> None:
    for emoji in TABLE:
        parts = emoji.split("\u200d")
        if len(parts) > 1:
            assert text.emoji("\u200d".join(part.removesuffix(VS16) + VS16 for part in parts)) == emoji


def test_skin_tones_are_distinct_reactions() -> None:
    tones = {text.emoji("\U0001f44d" + tone) for tone in ("", *map(chr, range(0x1F3FB, 0x1F400)))}
    assert len(tones) == 6


def test_two_emoji_are_no_reaction() -> None:
    assert all(refused(emoji + "\U0001f355") and refused(emoji + emoji) for emoji in TABLE)


def test_an_emoji_with_text_is_no_reaction() -> None:
    assert all(refused(emoji + "x") and refused(" " + emoji) for emoji in TABLE)


def test_a_cut_emoji_is_no_reaction_or_another_one() -> None:
    for emoji in TABLE:
        for end in range(1, len(emoji)):
            cut = emoji[:end]
            assert refused(cut) or text.emoji(cut).replace(VS16, "") == cut.replace(VS16, "")


@pytest.mark.parametrize(
    "part", [*map(chr, range(0x1F3FB, 0x1F400)), *map(chr, range(0x1F1E6, 0x1F200)), VS16, "\u200d"]
)
def test_a_part_of_an_emoji_is_no_reaction(part: str) -> None:
    assert refused(part)


def test_every_emoji_is_one_grapheme_and_a_room_name_and_a_username() -> None:
    for emoji in TABLE:
        assert len(clusters(emoji)) == 1
        assert text.room_name(emoji).display == emoji
        assert text.username(emoji).key == text.room_name(emoji).key


def test_every_emoji_is_a_room_of_its_own() -> None:
    assert len({text.room_name(emoji).key for emoji in TABLE}) == len(TABLE)
