"""`python -m opskit.drill.visitor URL ROOM…`: a user who enters rooms of the chat and says something in each.

`@FILE` stands for the rooms named in a file, one a line.
"""

import secrets
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from websockets.exceptions import InvalidStatus

from opskit.security_review.service import NoAnswer, Service, asked

ANSWER_S, PATIENCE_S = 5.0, 30.0
PASSWORD = "correct horse battery staple"  # noqa: S105 - of accounts that live as long as the sandbox


class NotDelivered(Exception):
    """What a user saw instead of the message delivered."""


def talk(url: str, room: str, *, content: str = "one flat white, please ☕") -> dict[str, Any]:
    """Sign up at *url*, enter *room* (made if it is not there), say *content*; returns the message as acknowledged.

    It must stand in the room's history too. Raises `NotDelivered`.
    """
    with closing(Service(url)) as service:
        try:
            return _talk(service, room, content)
        except NoAnswer as fault:
            raise NotDelivered(f"{room}: {fault}") from None
        except InvalidStatus as refusal:
            raise NotDelivered(f"{room}: GET /chat answered {refusal.response.status_code}") from None


def _talk(service: Service, room: str, content: str) -> dict[str, Any]:
    token = _sign_up(service)
    room_id = _enter(service, room, token)
    with closing(service.dial(token=token)) as connection:
        said = asked(connection, {"type": "message", "room_id": room_id, "content": content}, within_s=ANSWER_S)
    ack = next((frame for frame in said if frame.get("status") == "delivered"), None)
    if ack is None:
        refused = next((frame["code"] for frame in said if frame.get("type") == "error"), "")
        raise NotDelivered(f"{room}: {refused or 'the connection broke before the message was delivered'}")
    message: dict[str, Any] = ack["message"]
    history = service.call("GET", f"/rooms/{room_id}/messages", token=token).get("messages") or []
    if message.get("content") != content or all(one["content"] != content for one in history):
        raise NotDelivered(f"{room}: {content!r} came back as {message.get('content')!r}")
    return message


def _sign_up(service: Service) -> str:
    """The token of a new account; a service that is just starting again is waited for, as people do."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return service.register(f"guest-{secrets.token_hex(6)}", PASSWORD).access_token
        except NoAnswer:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _enter(service: Service, room: str, token: str) -> str:
    """The id of *room*, which the account is in now."""
    made = service.call("POST", "/rooms", {"name": room}, token=token)
    if made.status == 201:
        return str(made.body["room"]["id"])
    if made.get("code") != "room_name_taken":
        raise NotDelivered(f"{room}: POST /rooms answered {made.status}")
    found = service.call("GET", "/rooms?limit=100", token=token).get("rooms") or []
    room_id = next((str(one["id"]) for one in found if one["name"] == room), "")
    joined = service.call("POST", f"/rooms/{room_id}/join", token=token)
    if joined.status != 200:
        raise NotDelivered(f"{room}: joining it answered {joined.status}")
    return room_id


def _rooms(named: str) -> list[str]:
    return Path(named[1:]).read_text(encoding="utf-8").splitlines() if named.startswith("@") else [named]


def main() -> int:
    """Visit every room named, on after one that failed; 1 if one did."""
    url, *named = sys.argv[1:]
    rooms = [room for one in named for room in _rooms(one)]
    failed = 0
    for room in rooms:
        try:
            message = talk(url, room)
        except NotDelivered as fault:
            failed += 1
            print(f"✗ {fault}")
        else:
            print(f"✓ {room}: delivered {message['content']!r}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
