"""What costs the service a password hash each, a third of a second: asked for at once, looked at by its check later."""

import unicodedata
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Self

from smoke.api import Answer, Http
from smoke.visit import Person, Visit


@dataclass(frozen=True, slots=True)
class Errands:
    """Under way beside the checks, none of which they disturb. `password_change` is None for a given account."""

    second_session: Future[Person]
    third_session: Future[Person]
    wrong_password: Future[Answer]
    unknown_user: Future[Answer]
    password_change: Future[Answer] | None

    @classmethod
    def begin(cls, visit: Visit, ada: Person, zoe: Person) -> Self:
        """Begin all of them; the second of the two signs in again, once with another spelling of the name."""
        return cls(
            second_session=visit.meanwhile(_sign_in, visit.url, _respelled(zoe.username), zoe.password),
            third_session=visit.meanwhile(_sign_in, visit.url, zoe.username, zoe.password),
            wrong_password=visit.meanwhile(_guess, visit.url, zoe.username),
            unknown_user=visit.meanwhile(_guess, visit.url, f"nobody-{visit.nonce}"),
            password_change=None if visit.single else visit.meanwhile(_change_password, ada),
        )


def _respelled(username: str) -> str:
    return unicodedata.normalize("NFD", username)


def _sign_in(url: str, username: str, password: str) -> Person:
    again = Person(url, username, password)
    again.login()
    return again


def _guess(url: str, username: str) -> Answer:
    stranger = Http(url)
    try:
        return stranger.post("/auth/login", {"username": username, "password": "not the password"})
    finally:
        stranger.close()


def _change_password(person: Person) -> Answer:
    change = {"current_password": person.password, "new_password": f"{person.password}-new"}
    answer = person.http.post("/auth/password", change)
    if answer.status == 204:
        person.password = change["new_password"]
    return answer
