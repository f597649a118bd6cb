"""The incident that started it: names beyond ASCII are names."""

import pytest

from chat.text import TextFault, content, emoji, room_name, username


def test_cafe_with_a_cup_is_a_room_of_its_own() -> None:
    keys = {room_name(name).key for name in ("cafe-☕", "cafe-🍕", "cafe", "café")}
    assert len(keys) == 4


@pytest.mark.parametrize("spelling", ["cafe\u0301", "CAFÉ", "ＣＡＦÉ", "  café "])
def test_every_spelling_of_cafe_is_one_room(spelling: str) -> None:
    assert room_name(spelling).key == room_name("café").key


def test_a_cup_with_and_without_its_variation_selector_is_one_reaction_and_one_room() -> None:
    assert emoji("☕\ufe0f") == emoji("☕")
    assert room_name("☕\ufe0f").key == room_name("☕").key


def test_a_lone_surrogate_is_refused_at_the_gate() -> None:
    for rule in (content, emoji, room_name, username):
        with pytest.raises(TextFault) as fault:
            rule("\ud800")
        assert fault.value.code == "invalid_unicode"
