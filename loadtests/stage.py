"""What a run needs before its users come: accounts and rooms, made over HTTP and removed again."""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

SOCKETS_PER_ACCOUNT = 10  # a password hash costs the server a quarter of a second; half of what it lets one user open
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


@dataclass(slots=True)
class Stage:
    """Accounts and rooms of one process of one run; all of them are members of the rooms they are given."""

    url: str
    nonce: str
    accounts: list[Account] = field(default_factory=list)
    rooms: list[str] = field(default_factory=list)
    _owned: dict[str, Account] = field(default_factory=dict)

    def set(self, *, users: int, rooms: int, room_name: str) -> None:
        """Register accounts for *users* connections and open (or, made by another process, find) the rooms.

        Raises `NotReady` with what the service answered.
        """
        with self._client() as client:
            for _ in range(-(-users // SOCKETS_PER_ACCOUNT)):
                self.accounts.append(self._register(client))
            for number in range(rooms):
                self.rooms.append(self._open(client, f"{room_name} {number} {self.nonce}"))
            for number, account in enumerate(self.accounts):
                for room_id in {self.room_of(place) for place in self._places(number)}:
                    self._call(client, "POST", f"/rooms/{room_id}/join", account, expect=(200,))

    def clear(self) -> None:
        """Remove what `set` made; what is gone already is fine."""
        with self._client() as client:
            for room_id, account in self._owned.items():
                client.delete(f"/rooms/{room_id}", headers=_bearer(account))
            for account in self.accounts:
                client.request("DELETE", "/me", json={"password": account.password}, headers=_bearer(account))
        self._owned, self.accounts, self.rooms = {}, [], []

    def account_of(self, place: int) -> Account:
        """The account of the connection with this number, counted from 0 in this process."""
        return self.accounts[place // SOCKETS_PER_ACCOUNT % len(self.accounts)]

    def room_of(self, place: int) -> str:
        """The room of the connection with this number."""
        return self.rooms[place % len(self.rooms)]

    def _places(self, account_number: int) -> range:
        first = account_number * SOCKETS_PER_ACCOUNT
        return range(first, first + SOCKETS_PER_ACCOUNT)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=WAIT_S, trust_env=False)

    def _register(self, client: httpx.Client) -> Account:
        body = {"username": f"load-{secrets.token_hex(6)}", "password": secrets.token_urlsafe(18)}
        answer = self._call(client, "POST", "/auth/register", None, body=body, expect=(201,)).json()
        return Account(answer["user"]["id"], body["password"], answer["access_token"])

    def _open(self, client: httpx.Client, name: str) -> str:
        account = self.accounts[0]
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
