"""Accounts and rooms of the chat for a benchmark, made over its public HTTP interface."""

import http.client
import itertools
import json
import re
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

PASSWORD = "correct horse battery"  # noqa: S105 - of throwaway accounts on a throwaway server
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Person:
    """A signed-in account."""

    id: str
    token: str

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What a WebSocket handshake of this person carries."""
        return (("Authorization", f"Bearer {self.token}"), ("Sec-WebSocket-Protocol", "chat.v1"))


class Api:
    """One kept-alive HTTP connection to the chat."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def call(self, method: str, path: str, *, as_: Person | None = None, body: object = None) -> Any:
        """The answer's JSON; raises `RuntimeError` for anything but 2xx."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if as_ is not None:
            headers["Authorization"] = f"Bearer {as_.token}"
        self._connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self._connection.getresponse()
        raw = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {raw[:300]!r}")
        return json.loads(raw) if raw else None

    def register(self) -> Person:
        """A new account."""
        made = self.call("POST", "/auth/register", body={"username": f"bench{next(_numbers)}", "password": PASSWORD})
        return Person(made["user"]["id"], made["access_token"])

    def room(self, owner: Person) -> str:
        """A new room's id."""
        made = self.call("POST", "/rooms", as_=owner, body={"name": f"bench {next(_numbers)}"})
        return str(made["room"]["id"])

    def join(self, person: Person, room_id: str) -> None:
        """Make *person* a member."""
        self.call("POST", f"/rooms/{room_id}/join", as_=person)


class Reader:
    """A kept-alive connection that only reads answers whole: a client that takes them apart measures itself as well."""

    def __init__(self, port: int, person: Person) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._head = f"HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {person.token}\r\n\r\n"

    def get(self, path: str) -> None:
        """Ask and wait for the answer's last byte; raises `RuntimeError` for anything but 200."""
        self._socket.sendall(f"GET {path} {self._head}".encode())
        got = bytearray()
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._more()
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", got[:end])
        if not got.startswith(b"HTTP/1.1 200") or length is None:
            raise RuntimeError(f"GET {path}: {bytes(got[:300])!r}")
        while len(got) < end + 4 + int(length[1]):
            got += self._more()

    def _more(self) -> bytes:
        if not (data := self._socket.recv(1 << 18)):
            raise RuntimeError("the server hung up")
        return data


def at_once(port: int, calls: Iterable[Callable[[Api], T]], *, connections: int = 8) -> list[T]:
    """What each of *calls* returns, in order, made over several connections, so that commits are shared."""
    mine = threading.local()
    apis: list[Api] = []

    def open_one() -> None:
        mine.api = Api(port)
        apis.append(mine.api)

    with ThreadPoolExecutor(connections, initializer=open_one) as pool:
        found = list(pool.map(lambda call: call(mine.api), calls))
    for api in apis:
        api.close()
    return found


def accounts(port: int, count: int) -> list[Person]:
    """*count* new accounts."""
    return at_once(port, [Api.register] * count)


def crowd(port: int, size: int) -> tuple[str, list[Person]]:
    """A room with *size* members; the first owns it."""
    people = accounts(port, size)
    room_id = at_once(port, [lambda api: api.room(people[0])])[0]
    at_once(port, [partial(Api.join, person=person, room_id=room_id) for person in people[1:]])
    return room_id, people
