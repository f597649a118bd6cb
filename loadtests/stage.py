"""What a run needs before its users come: accounts and rooms, made over HTTP and removed again."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

REGISTER_AT_ONCE = 4  # a password hash costs the server a quarter of a second
PATIENCE_S = 90.0
WAIT_S = 30.0


class NotReady(Exception):
    """The service would not let the stage be set."""


@dataclass(frozen=True, slots=True)
class Account:
    """Someone to be: several connections may share one."""

    user_id: str
    password: str
    token: str


@dataclass(slots=True, kw_only=True)
class Stage:
    """Accounts and rooms for one process of one run, which has the places *first* … of all.

    People with neighbouring places share a room and, few at a time, an account: registering is dear. So every room has
    at least two accounts where it has two people.
    """

    url: str
    nonce: str
    people_per_room: int
    room_name: str
    first: int = 0
    accounts: dict[int, Account] = field(default_factory=dict)
    rooms: dict[int, str] = field(default_factory=dict)
    _owned: dict[str, Account] = field(default_factory=dict)

    @property
    def per_account(self) -> int:
        """How many connections share an account; the server allows 20."""
        return min(5, max(1, self.people_per_room // 2))

    def set(self, people: int) -> None:
        """Register accounts for *people* connections and open (or, made by another process, find) their rooms.

        Raises `NotReady` with what the service answered.
        """
        places = range(self.first, self.first + people)
        with self._client() as client, ThreadPoolExecutor(REGISTER_AT_ONCE) as pool:
            numbers = sorted({place // self.per_account for place in places})
            self.accounts = dict(zip(numbers, pool.map(lambda _: self._register(client), numbers), strict=True))
            for place in places[:: self.per_account]:
                number, account = place // self.people_per_room, self.account_of(place)
                if number not in self.rooms:
                    self.rooms[number] = self._open(client, f"{self.room_name} {number} {self.nonce}", account)
                self._call(client, "POST", f"/rooms/{self.rooms[number]}/join", account, expect=(200,))

    def clear(self) -> None:
        """Remove what `set` made; what is gone already is fine."""
        with self._client() as client:
            for room_id, account in self._owned.items():
                client.delete(f"/rooms/{room_id}", headers=_bearer(account))
            for account in self.accounts.values():
                client.request("DELETE", "/me", json={"password": account.password}, headers=_bearer(account))
        self._owned, self.accounts, self.rooms = {}, {}, {}

    def account_of(self, place: int) -> Account:
        """The account of the connection with this place; places beyond those that were set begin again."""
        return self.accounts[self._within(place) // self.per_account]

    def room_of(self, place: int) -> str:
        """The room of the connection with this place."""
        return self.rooms[self._within(place) // self.people_per_room]

    def _within(self, place: int) -> int:
        return self.first + (place - self.first) % (len(self.accounts) * self.per_account)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=WAIT_S, trust_env=False)

    def _register(self, client: httpx.Client) -> Account:
        body = {"username": f"load-{secrets.token_hex(6)}", "password": secrets.token_urlsafe(18)}
        answer = self._call(client, "POST", "/auth/register", None, body=body, expect=(201,)).json()
        return Account(answer["user"]["id"], body["password"], answer["access_token"])

    def _open(self, client: httpx.Client, name: str, account: Account) -> str:
        made = self._call(client, "POST", "/rooms", account, body={"name": name}, expect=(201, 409))
        if made.status_code == 201:
            room_id: str = made.json()["room"]["id"]
            self._owned[room_id] = account
            return room_id
        found = client.get("/rooms", params={"query": name}, headers=_bearer(account)).json()["rooms"]
        return next(str(room["id"]) for room in found if room["name"] == name)

    def _call(
        self,
        client: httpx.Client,
        method: str,
        path: str,
        account: Account | None,
        *,
        expect: tuple[int, ...],
        body: dict[str, Any] | None = None,
    ) -> httpx.Response:
        give_up_at_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = client.request(method, path, json=body, headers=_bearer(account))
            except httpx.TransportError as fault:
                raise NotReady(f"{method} {self.url}{path}: {str(fault) or type(fault).__name__}") from None
            if answer.status_code in expect:
                return answer
            if answer.status_code not in (429, 503) or time.monotonic() > give_up_at_s:
                raise NotReady(f"{method} {path} answered {answer.status_code} {answer.text[:200]}")
            time.sleep(min(5.0, answer.json().get("retry_after_ms", 1000) / 1000))


def _bearer(account: Account | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {account.token}"} if account else {}
