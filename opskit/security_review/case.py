"""One review under way: what was found, what was looked at and what could not be, and the accounts it made."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from opskit.security_review.catalogue import Finding, finding
from opskit.security_review.service import NoAnswer, Person, Service
from opskit.security_review.tokens import Token, take_apart


@dataclass(slots=True)
class Case:
    """What the probes work with. *account*: name and password to use instead of registering."""

    service: Service
    account: tuple[str, str] | None = None
    max_wait_s: float = 15.0
    found: dict[str, Finding] = field(default_factory=dict)
    unchecked: dict[str, str] = field(default_factory=dict)  # what, and why
    left: list[str] = field(default_factory=list)  # what could not be removed
    me: Person | None = None
    other: Person | None = None
    nonce: str = field(default_factory=lambda: secrets.token_hex(4))
    _made: list[Person] = field(default_factory=list)
    _rooms: list[tuple[Person, str]] = field(default_factory=list)

    def find(self, id_: str, seen: str) -> None:
        """The service has this weakness."""
        self.found.setdefault(id_, finding(id_, seen))

    def skip(self, what: str, why: str) -> None:
        """This was not checked."""
        self.unchecked.setdefault(what, why)

    def arrive(self) -> None:
        """Get accounts to look with; where there are none to be had, that is noted."""
        try:
            if self.account:
                self.me = self.service.login(*self.account)
            else:
                self.me = self.sign_up("ada")
                self.find("registration-open", "POST /auth/register answered 201 to a stranger")
                self.other = self.sign_up("bob")
        except NoAnswer as fault:
            if self.me is None:
                closed = "answered 403" in str(fault)
                hint = "; registration is closed: set SMOKE_USERNAME and SMOKE_PASSWORD" if closed else ""
                self.skip("what only a signed-in user can see", f"{fault}{hint}")
        if self.me is not None and self.other is None:
            self.skip("what another user can see of a room", "there is one account only")

    def sign_up(self, who: str, *, password: str = "") -> Person:
        """A new account that is removed at the end."""
        person = self.service.register(f"review-{who}-{self.nonce}", password or secrets.token_urlsafe(18))
        self._made.append(person)
        return person

    def session(self) -> Person:
        """One more session of the account."""
        if self.me is None:
            raise NoAnswer("nobody could be signed in")
        return self.service.login(self.me.username, self.me.password)

    @property
    def user(self) -> Person:
        """Who is signed in, with a token that lasts for a while; raises `NoAnswer` if nobody is."""
        if self.me is None:
            raise NoAnswer("nobody could be signed in")
        if self.me.stale:
            self.me = self.session()
        return self.me

    @property
    def guest(self) -> Person | None:
        """The second account, likewise; None if there is one account only."""
        if self.other is not None and self.other.stale:
            self.other = self.service.login(self.other.username, self.other.password)
        return self.other

    @property
    def access_token(self) -> str:
        """The user's, "" if nobody could be signed in."""
        return self.user.access_token if self.me else ""

    @property
    def token(self) -> Token | None:
        """The parts of the access token, None where it is no JWT or there is none."""
        return take_apart(self.access_token)

    def room(self, owner: Person) -> str:
        """A new room's id; it is removed at the end."""
        answer = self.service.call(
            "POST", "/rooms", {"name": f"review {self.nonce} {len(self._rooms)}"}, token=owner.access_token
        )
        room = answer.get("room")
        if answer.status != 201 or not isinstance(room, dict) or not isinstance(room.get("id"), str):
            raise NoAnswer(f"POST /rooms answered {answer.status}")
        self._rooms.append((owner, room["id"]))
        return str(room["id"])

    def leave(self) -> None:
        """Remove rooms and accounts; what stays is noted in `left`."""
        for owner, room in self._rooms:
            self._remove(f"room {room}", partial(self._remove_room, owner, room))
        for person in self._made:
            self._remove(f"account {person.username}", partial(self._erase, person))
        if self.account and self.me:
            with suppress(NoAnswer):
                self.service.call("POST", "/auth/logout", token=self.me.access_token)
        self._rooms, self._made = [], []

    def _remove(self, what: str, act: Callable[[], int]) -> None:
        try:
            status = act()
        except NoAnswer as fault:
            self.left.append(f"{what} ({fault})")
        else:
            if status not in (200, 202, 204, 404):
                self.left.append(f"{what} (answered {status})")

    def _remove_room(self, owner: Person, room: str) -> int:
        answer = self.service.call("POST", f"/rooms/{room}/join", token=owner.access_token)
        if answer.status == 401:
            owner = self.service.login(owner.username, owner.password)
            self.service.call("POST", f"/rooms/{room}/join", token=owner.access_token)
        return self.service.call("DELETE", f"/rooms/{room}", token=owner.access_token).status

    def _erase(self, person: Person) -> int:
        body = {"password": person.password}
        status = self.service.call("DELETE", "/me", body, token=person.access_token).status
        if status == 401:
            again = self.service.login(person.username, person.password)
            status = self.service.call("DELETE", "/me", body, token=again.access_token).status
        return status
