"""One visit to the service: the people and rooms it makes, and their removal whatever happened in between."""

import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from smoke.api import Answer, Http
from smoke.expect import CheckFailed, same
from smoke.wire import Socket

Found = TypeVar("Found")


class Person:
    """A signed-in account: its HTTP client, its user as the service sees it, its sockets."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.http = Http(url)
        self.username, self.password = username, password
        self.user: dict[str, Any] = {}
        self.refresh_token = ""

    def sign_in(self, answer: Answer, status: int) -> None:
        """Take user and tokens from the answer to register, login or refresh, which must have *status*."""
        body = answer.must_be(status)
        for name in ("user", "access_token", "refresh_token", "expires_in"):
            answer.must_have(status, name)
        same(f"{answer.request}: token_type", body.get("token_type"), "Bearer")
        self.user, self.http.token, self.refresh_token = body["user"], body["access_token"], body["refresh_token"]

    @property
    def credentials(self) -> dict[str, str]:
        """The body of a login."""
        return {"username": self.username, "password": self.password}

    def login(self) -> None:
        """Sign in with the password, in a session of its own."""
        self.sign_in(self.http.post("/auth/login", self.credentials), 200)

    def socket(self) -> Socket:
        """Open a WebSocket with the access token."""
        return Socket(self.http.url, token=self.http.token)

    def erase(self) -> None:
        """Erase the account; an ended session is replaced first."""
        answer = self.http.delete("/me", {"password": self.password})
        if answer.status == 401:
            self.login()
            answer = self.http.delete("/me", {"password": self.password})
        answer.must_be(204)


class Visit:
    """Two people (or two sessions of one given account) and the rooms they make; `leave` removes all of it."""

    def __init__(self, url: str, *, account: tuple[str, str] | None = None) -> None:
        self.url = url
        self.nonce = secrets.token_hex(4)
        self.single = account is not None
        self._account = account
        self._rooms: dict[str, Person] = {}
        self._people: list[Person] = []
        self._beside = ThreadPoolExecutor(2)

    def meanwhile(self, act: Callable[..., Found], *arguments: Any) -> Future[Found]:
        """Do *act* beside the checks; `leave` waits for it."""
        return self._beside.submit(act, *arguments)

    def arrive(self) -> tuple[Person, Person]:
        """Sign two people in: registered anew (one with a name beyond ASCII), or the given account twice."""
        if self._account is not None:
            pair = Person(self.url, *self._account), Person(self.url, *self._account)
            for person in pair:
                person.login()
                self._people.append(person)
            return pair
        names = f"smoke-ada-{self.nonce}", f"smoke-zoé-{self.nonce}"
        pair = (
            Person(self.url, names[0], secrets.token_urlsafe(18)),
            Person(self.url, names[1], secrets.token_urlsafe(18)),
        )
        with ThreadPoolExecutor(2) as pool:  # each costs the service a password hash
            list(pool.map(self._register, pair))
        return pair

    def _register(self, person: Person) -> None:
        answer = person.http.post("/auth/register", person.credentials)
        if answer.status == 403:
            raise CheckFailed("registration is closed here: set SMOKE_USERNAME and SMOKE_PASSWORD to an account's")
        if answer.status == 201:
            self._people.append(person)
        person.sign_in(answer, 201)

    def room_name(self, name: str) -> str:
        """*name* made unique for this visit."""
        return f"{name} {self.nonce}"

    def open_room(self, owner: Person, name: str, *members: Person) -> dict[str, Any]:
        """Create a room that is removed at the end, and have *members* join it."""
        answer = owner.http.post("/rooms", {"name": name})
        room: dict[str, Any] = answer.must_have(201, "room")
        self._rooms[room["id"]] = owner
        for member in members:
            member.http.post(f"/rooms/{room['id']}/join").must_be(200)
        return room

    def close_room(self, room: dict[str, Any]) -> None:
        """Remove one room before the end."""
        self._remove_room(room["id"])

    def remove_rooms(self) -> None:
        """Remove the rooms this visit made; raises `CheckFailed` if one stays."""
        _raise_first([fault for room_id in list(self._rooms) for fault in _attempt(self._remove_room, room_id)])

    def erase(self, *people: Person) -> None:
        """Erase these accounts before the end; raises `CheckFailed` if one stays."""
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Person.erase, people))
        self._people = [person for person in self._people if person not in people]

    def leave(self) -> None:
        """Remove rooms, then accounts (a given account stays, signed out); raises `CheckFailed` if something stays."""
        self._beside.shutdown()
        faults = [fault for room_id in list(self._rooms) for fault in _attempt(self._remove_room, room_id)]
        people, self._people = self._people, []
        remove = self._sign_out if self.single else Person.erase
        with ThreadPoolExecutor(2) as pool:
            faults += [fault for found in pool.map(lambda person: _attempt(remove, person), people) for fault in found]
        for person in people:
            person.http.close()
        _raise_first(faults)

    def _remove_room(self, room_id: str) -> None:
        owner = self._rooms.pop(room_id)
        answer = owner.http.delete(f"/rooms/{room_id}")
        for person in (owner, *self._people):  # a check may have ended a session, or handed the room on
            if answer.status == 401:
                person.login()
            if answer.status in (401, 403):
                answer = person.http.delete(f"/rooms/{room_id}")
        answer.must_be(204, 404)

    @staticmethod
    def _sign_out(person: Person) -> None:
        person.http.post("/auth/logout").must_be(204, 401)


def _attempt(act: Callable[..., None], *arguments: Any) -> list[CheckFailed]:
    try:
        act(*arguments)
    except CheckFailed as fault:
        return [fault]
    return []


def _raise_first(faults: list[CheckFailed]) -> None:
    if faults:
        raise CheckFailed(f"what this run made is not all removed ({len(faults)} left): {faults[0]}")
