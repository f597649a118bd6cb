"""What the policy costs: nothing is loaded before it is needed, nothing hostile is normalised unmeasured."""

import subprocess
import sys

import pytest

from chat import text
from chat.text import TextFault, bodies, names

HEAVY = {"regex", "precis_i18n", "emoji"}
MARKS = "\u0300\u0316" * 15_000  # reordering them takes quadratic time


def loaded_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


def unexpected(*_: object) -> str:
    raise AssertionError("normalised what is too long anyway")


def test_importing_the_policy_loads_no_unicode_library() -> None:
    assert loaded_by("import chat.text") == set()


def test_ascii_messages_load_no_unicode_library() -> None:
    assert (
        loaded_by("from chat.text import *\ncontent('hi')\npreview('hi')\nemoji('\U0001f44d')\nopaque_id('m1')")
        == set()
    )


def test_after_warming_up_everything_is_loaded() -> None:
    assert loaded_by("from chat.text import warm_up\nwarm_up()") == {"regex", "precis_i18n"}


def test_an_overlong_password_or_name_is_refused_before_it_is_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "normalize", unexpected)
    monkeypatch.setattr(names, "normalize", unexpected)
    for rule in (text.password, text.room_name, text.room_query, text.username):
        with pytest.raises(TextFault):
            rule(MARKS)


def test_the_longest_legal_room_name_fits_the_byte_limit() -> None:
    longest = "\U0001f469\U0001f3fb\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f468\U0001f3ff"
    assert text.room_name(longest * 64).display == longest * 64
    assert text.username(longest * 32).display == longest * 32


def test_a_fault_says_what_to_change_and_a_password_fault_never_says_the_password() -> None:
    with pytest.raises(TextFault, match=r"U\+202E"):
        text.room_name("a\u202eb")
    with pytest.raises(TextFault) as fault:
        text.password("hunter2")
    assert "hunter2" not in f"{fault.value}{fault.value.args}"
