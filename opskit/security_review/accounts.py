"""Probes of sign-in and registration: who exists, how often one may guess, what is accepted and given away."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opskit.security_review.case import Case
from opskit.security_review.inputs import random_name
from opskit.security_review.service import Answer, NoAnswer

GUESSES = 40
_SHORT = "a"
_DEFAULTS = (("admin", "admin"), ("admin", "password"), ("admin", "changeme"), ("root", "root"), ("test", "test"))
_VARIES = re.compile(r"[0-9a-fA-F-]{16,}|\d{4}-\d\d-\d\dT[\d:.]+Z?|\d+")
_HASH = re.compile(r"\$(?:2[aby]|argon2\w*|scrypt|pbkdf2)[$\w-]*\$|pbkdf2:sha|scrypt:\d")
_SECRET_KEYS = {"password", "password_hash", "hashed_password", "passwd", "pw_hash"}


def enumeration(case: Case) -> None:
    """A wrong password for a user that exists and for one that does not: status, text and time."""
    me = case.user
    wrong = "not the password of this review"
    known, unknown = [], []
    for _ in range(3):  # in turns: what else the machine does falls on both
        known.append(case.service.call("POST", "/auth/login", {"username": me.username, "password": wrong}))
        unknown.append(case.service.call("POST", "/auth/login", {"username": random_name(), "password": wrong}))
    if known[0].status == 429 or unknown[0].status == 429:
        raise NoAnswer("sign-in answered 429")
    told = [(each.status, _neutral(each, me.username)) for each in (known[0], unknown[0])]
    if told[0] != told[1]:
        seen = " and ".join(f"{status} {text[:60]!r}" for status, text in told)
        case.find("user-enumeration", f"a known and an unknown user are answered {seen}")
    fast, slow = sorted((min(each.seconds for each in known), min(each.seconds for each in unknown)))
    if slow > 4 * fast and slow - fast > 0.03:
        case.find(
            "user-enumeration-timing", f"at best {fast * 1000:.0f} ms for one and {slow * 1000:.0f} ms for the other"
        )


def defaults(case: Case) -> None:
    """A handful of accounts that installers leave behind."""
    for name, word in _DEFAULTS:
        answer = case.service.call("POST", "/auth/login", {"username": name, "password": word})
        if answer.status == 404:
            raise NoAnswer("POST /auth/login answered 404")
        if answer.status == 200 and answer.get("access_token"):
            case.find("default-account", f"POST /auth/login as {name} with the password {word!r} answered 200")


def registration(case: Case) -> None:
    """A password of one character."""
    if case.account or "registration-open" not in case.found:
        raise NoAnswer("no account can be registered here")
    try:
        case.sign_up("short", password=_SHORT)
    except NoAnswer:
        return
    case.find("short-password", "POST /auth/register with a password of one character answered 201")


def leaks(case: Case) -> None:
    """Passwords and hashes in answers about users."""
    me = case.user
    answers = {"sign-in": me.answer, "GET /me": case.service.call("GET", "/me", token=me.access_token)}
    for what, answer in answers.items():
        text = answer.text
        if json.dumps(me.password)[1:-1] in text or _HASH.search(text) or _keys(answer.body) & _SECRET_KEYS:
            case.find("password-leak", f"the answer to {what} carries the password or its hash")


def guessing(case: Case) -> None:
    """Wrong sign-ins without an end. The last probe: it uses up this address's share of sign-ins."""
    if case.service.loopback:
        raise NoAnswer("asked on loopback, which limits may leave out; ask from another machine")
    name = random_name()

    def guess(number: int) -> Answer:
        return case.service.call("POST", "/auth/login", {"username": name, "password": f"wrong guess {number}"})

    with ThreadPoolExecutor(4) as pool:
        statuses = []
        for start in range(0, GUESSES, 4):
            statuses += [answer.status for answer in pool.map(guess, range(start, start + 4))]
            if {429, 503, 404} & set(statuses):
                break
    if 404 in statuses:
        raise NoAnswer("POST /auth/login answered 404")
    if not {429, 503} & set(statuses):
        case.find("no-signin-limit", f"{len(statuses)} wrong sign-ins in a row, none answered 429")


def _neutral(answer: Answer, name: str) -> str:
    """The text without what differs from call to call."""
    return _VARIES.sub("…", answer.text.replace(name, "…"))


def _keys(body: Any) -> set[str]:
    if isinstance(body, dict):
        return {str(key).lower() for key in body} | {key for value in body.values() for key in _keys(value)}
    return set()
