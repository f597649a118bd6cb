"""Names of rooms and users: which are allowed, how they are shown, what their key is."""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from chat.text.faults import TextFault, UsernameReserved, named
from chat.text.gates import gate
from chat.text.graphemes import exceeds
from chat.text.joiners import without_allowed_joiners
from chat.text.keys import DisplayName, Key, key_of
from chat.text.looks import lookalikes, skeleton
from chat.text.pinned import BLANK, describe, first_not_graphic, normalize
from chat.text.rgi import text_between

if TYPE_CHECKING:  # both are loaded when a name first needs them
    import regex
    from precis_i18n.profile import Profile

ROOM_GRAPHEMES = 64
ROOM_BYTES = 4096  # 64 of the longest emoji sequences need 2,240
USER_GRAPHEMES = 32
USER_BYTES = 2048
MARKS_PER_CLUSTER = 8
RESERVED = frozenset({"admin", "system", "everyone", "here", "all", "root", "moderator", "support"})
CACHED_NAMES = 1024

_RULES = {  # PRECIS rule -> what people are told
    "spaces": "spaces are not allowed",
    "exceptions": "not allowed in identifiers",
    "precis_ignorable_properties": "it cannot be seen",
    "old_hangul_jamo": "conjoining Jamo must form a syllable",
    "other_letter_digits": "letters and decimal digits only",
    "not_idempotent": "its letter case is not stable",
    "symbols": "symbols other than emoji are not allowed",
    "punctuation": "only ASCII punctuation is allowed",
    "has_compat": "a compatibility form of other characters",
    "bidi_rule": "right-to-left and left-to-right text cannot be mixed so, RFC 5893",
}
_ALL_BLANK = re.compile(f"[{BLANK}]*")
_SPACES = re.compile("[ \xa0\u1680\u2000-\u200a\u202f\u205f\u3000]+")


@dataclass(frozen=True, slots=True)
class RoomName:
    """A room's name: shown as `display`, unique by `key`; rooms with one `skeleton` are flagged as confusable."""

    display: DisplayName
    key: Key
    skeleton: str


@dataclass(frozen=True, slots=True)
class UserName:
    """A user's name: shown as `display`, unique by `key` and by `skeleton` (what most readers see; stored).

    `lookalikes` begins with `skeleton` and holds what else a reader may see in the display form: a name is confusable
    if any of them is another user's stored skeleton.
    """

    display: DisplayName
    key: Key
    skeleton: str
    lookalikes: tuple[str, ...]


@lru_cache(maxsize=CACHED_NAMES)
def room_name(raw: str) -> RoomName:
    """Return the room name that *raw* spells.

    Verdicts in this order: `invalid_unicode` (lone surrogate, NUL), `name_too_long` (over 4,096 bytes of UTF-8),
    `name_empty` (only white space and invisible characters), `invalid_field` (a character or sequence no name may
    have), `name_too_long` (over 64 graphemes after trimming). Raises TextFault.
    """
    display = _display(raw, max_bytes=ROOM_BYTES)
    for run in text_between(display):
        _refuse_forbidden(run)
    _refuse_too_long(display, ROOM_GRAPHEMES)
    key = key_of(display)
    return RoomName(display, key, skeleton(key))


@lru_cache(maxsize=CACHED_NAMES)
def username(raw: str) -> UserName:
    """Return the username that *raw* spells; verdicts in the order of `room_name`, with 32 graphemes, 2,048 bytes.

    Between emoji the rules are RFC 8265's UsernameCaseMapped: no spaces, no symbols but ASCII's, the Bidi Rule.
    Raises TextFault; UsernameReserved for a reserved word and what looks like one.
    """
    name = _username(raw)
    for look in name.lookalikes:
        if (word := _reserved().get(look)) is not None:
            raise UsernameReserved(name.display, word)
    return name


def username_key(raw: str) -> Key | None:
    """Return the key under which *raw* would be registered, None if nobody can have that name. Never raises."""
    try:
        return _username(raw).key
    except TextFault:
        return None


def room_query(raw: str) -> str:
    """Return what a part of a room name is matched with: part of a key; nothing visible gives `""`.

    Raises TextFault `invalid_unicode`; `name_too_long` for more than 4,096 bytes, which no name has.
    """
    return key_of(_collapsed(_measured(raw, max_bytes=ROOM_BYTES)))


@cache
def _reserved() -> dict[str, str]:
    return {skeleton(word): word for word in RESERVED}


def _username(raw: str) -> UserName:
    display = _display(raw, max_bytes=USER_BYTES)
    for run in text_between(display):
        _refuse_forbidden(run)
        _refuse_by_precis(run)
    _refuse_too_long(display, USER_GRAPHEMES)
    looks = lookalikes(display)
    return UserName(display, key_of(display), looks[0], looks)


def _display(raw: str, *, max_bytes: int) -> DisplayName:
    if _ALL_BLANK.fullmatch(_measured(raw, max_bytes=max_bytes)):
        raise TextFault("name_empty", "a name needs something visible")
    return _collapsed(raw)


def _measured(raw: str, *, max_bytes: int) -> str:
    gate(raw)
    if len(raw) > max_bytes or len(raw.encode()) > max_bytes:
        raise TextFault("name_too_long", f"a name has at most {max_bytes} bytes of UTF-8")
    return raw


def _collapsed(raw: str) -> DisplayName:
    return DisplayName(_SPACES.sub(" ", normalize("NFC", raw)).strip(" "))


def _refuse_too_long(display: DisplayName, limit: int) -> None:
    if exceeds(display, limit):
        raise TextFault("name_too_long", f"a name has at most {limit} characters")


def _refuse_forbidden(run: str) -> None:
    char = first_not_graphic(without_allowed_joiners(run))
    if char is not None:
        raise TextFault("invalid_field", f"a name cannot have {describe(char)}")
    if not run.isascii() and _stacked_marks().search(normalize("NFD", run)):
        raise TextFault("invalid_field", f"a character cannot have more than {MARKS_PER_CLUSTER} combining marks")


@cache
def _stacked_marks() -> "regex.Pattern[str]":
    import regex

    return regex.compile(rf"(?:\p{{M}}[\u200c\u200d]*){{{MARKS_PER_CLUSTER + 1}}}")


@cache
def _username_case_mapped() -> "Profile":
    import precis_i18n

    return precis_i18n.get_profile("UsernameCaseMapped")


def _refuse_by_precis(run: str) -> None:
    try:
        _username_case_mapped().enforce(run)
    except UnicodeEncodeError as fault:
        rule = fault.reason.removeprefix("DISALLOWED/")
        where = named(fault.object[fault.start]) if fault.end - fault.start == 1 else "text like this"
        raise TextFault(
            "invalid_field", f"a username cannot have {where} ({_RULES.get(rule, rule.replace('_', ' '))})"
        ) from fault
