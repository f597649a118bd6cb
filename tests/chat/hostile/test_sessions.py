"""Sessions end when they must, each cause closes sockets within a second; what tokens and tickets are good for."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.chat.server import PASSWORD, Account, Http, Server, Socket, connected, free_port, open_socket, running

WITHIN_S = 1.0
SESSION_ENDED, ACCOUNT_GONE, EXPIRED = 4011, 4012, 4110


@pytest.fixture
async def http(shared_server: Server) -> AsyncIterator[Http]:
    async with Http(shared_server) as client:
        yield client


async def sign_in_again(http: Http, account: Account) -> Account:
    """Another session of the same account."""
    answer = await http.call("POST", "/auth/login", json={"username": account.username, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return http.account(answer)


async def session_of(http: Http, account: Account) -> str:
    """The id of the account's session."""
    sessions = (await http.call("GET", "/auth/sessions", by=account)).json()["sessions"]
    return str(next(session["id"] for session in sessions if session["current"]))


async def logout(http: Http, victim: Account, _other: Account) -> None:
    assert (await http.call("POST", "/auth/logout", by=victim)).status_code == 204


async def change_password(http: Http, _victim: Account, other: Account) -> None:
    body = {"current_password": PASSWORD, "new_password": PASSWORD + "!"}
    assert (await http.call("POST", "/auth/password", by=other, json=body)).status_code == 204


async def end_one(http: Http, victim: Account, other: Account) -> None:
    path = f"/auth/sessions/{await session_of(http, victim)}"
    assert (await http.call("DELETE", path, by=other)).status_code == 204


async def end_others(http: Http, _victim: Account, other: Account) -> None:
    assert (await http.call("DELETE", "/auth/sessions", by=other)).status_code == 204


async def reuse_refresh_token(http: Http, victim: Account, _other: Account) -> None:
    stolen = {"refresh_token": victim.refresh_token}
    assert (await http.call("POST", "/auth/refresh", json=stolen)).status_code == 200
    assert (await http.call("POST", "/auth/refresh", json=stolen)).status_code == 401


async def erase(http: Http, _victim: Account, other: Account) -> None:
    body = {"password": PASSWORD}
    assert (await http.call("DELETE", "/me", by=other, json=body)).status_code == 204


async def operator(server: Server, *words: str, stdin: str | None = None) -> None:
    """Run the `chat` command line beside the running server."""
    env = os.environ | {"CHAT_DATA_DIR": str(server.data_dir), "CHAT_BCRYPT_COST": "4"}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "chat", *words],
        env=env,
        input=stdin,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done


async def reset_password(http: Http, victim: Account, _other: Account) -> None:
    await operator(http.server, "user", "reset-password", "--stdin", victim.username, stdin="another password\n")


async def disable(http: Http, victim: Account, _other: Account) -> None:
    await operator(http.server, "user", "disable", victim.username)


End = Callable[[Http, Account, Account], Awaitable[None]]
CAUSES: list[tuple[End, int, bool]] = [  # what ends it, its close code, whether the other session lives on
    (logout, SESSION_ENDED, True),
    (change_password, SESSION_ENDED, True),
    (end_one, SESSION_ENDED, True),
    (end_others, SESSION_ENDED, True),
    (reuse_refresh_token, SESSION_ENDED, True),
    (reset_password, SESSION_ENDED, False),
    (disable, ACCOUNT_GONE, False),
    (erase, ACCOUNT_GONE, False),
]


@pytest.mark.parametrize(("end", "code", "other_lives"), CAUSES, ids=lambda value: getattr(value, "__name__", None))
async def test_a_session_that_ends_closes_its_sockets_within_a_second(
    http: Http, end: End, code: int, other_lives: bool
) -> None:
    victim = await http.register()
    other = await sign_in_again(http, victim)
    async with connected(other) as bystander:
        first, second = await open_socket(victim), await open_socket(victim)
        closing = asyncio.gather(*(_closed_at(socket) for socket in (first, second)))
        await end(http, victim, other)
        done_at = time.monotonic()
        for found, at in await closing:
            assert found == code
            assert at - done_at < WITHIN_S
        assert (await http.call("GET", "/me", by=victim)).status_code == 401
        with pytest.raises(InvalidStatus):
            await open_socket(victim)
        refreshed = await http.call("POST", "/auth/refresh", json={"refresh_token": victim.refresh_token})
        assert refreshed.status_code == 401
        if other_lives:
            assert (await bystander.ask("ping"))["type"] == "pong"
            assert (await http.call("GET", "/me", by=other)).status_code == 200
        else:
            assert (await bystander.closed())[0] == code


async def _closed_at(socket: Socket) -> tuple[int, float]:
    code, _ = await socket.closed()
    return code, time.monotonic()


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Two processes on one database, and pages of two other origins that may talk to them."""
    data_dir = tmp_path_factory.mktemp("twins")
    origins = "https://a.example, https://b.example"
    with running(data_dir, CHAT_ALLOWED_ORIGINS=origins) as first:
        second = Server(free_port(), data_dir, {"CHAT_ALLOWED_ORIGINS": origins}).start()
        try:
            yield first, second
        finally:
            second.stop()
        assert not second.errors()


@pytest.mark.parametrize(("end", "code"), [(logout, SESSION_ENDED), (erase, ACCOUNT_GONE), (disable, ACCOUNT_GONE)])
async def test_a_session_that_ends_on_one_process_closes_its_sockets_on_another(
    twins: tuple[Server, Server], end: End, code: int
) -> None:
    here, there = twins
    async with Http(here) as http:
        victim = await http.register()
        other = await sign_in_again(http, victim)
        socket = await open_socket(victim, server=there)
        closing = asyncio.create_task(_closed_at(socket))
        await end(http, victim, other)
        done_at = time.monotonic()
        found, at = await closing
        assert found == code
        assert at - done_at < 2 * WITHIN_S


async def refused(server: Server, query: str = "", **headers: str) -> int:
    """The status of a handshake that must not succeed."""
    url = server.url.replace("http", "ws") + f"/chat{query}"
    with pytest.raises(InvalidStatus) as caught:
        await connect(url, additional_headers=headers, proxy=None)
    response = caught.value.response
    assert response.headers["Content-Type"] == "application/problem+json"
    return response.status_code


async def ticket_of(http: Http, account: Account, origin: str | None = None) -> str:
    answer = await http.call(
        "POST", "/auth/ws-ticket", by=account, headers={"Origin": origin} if origin is not None else {}
    )
    assert answer.status_code == 201
    assert answer.json()["expires_in"] == 30
    return str(answer.json()["ticket"])


async def enter(server: Server, ticket: str, *, origin: str | None = None) -> Socket:
    """A WebSocket opened with a ticket."""
    url = server.url.replace("http", "ws") + f"/chat?ticket={ticket}"
    headers = {"Origin": origin} if origin is not None else {}
    socket = Socket(await connect(url, additional_headers=headers, proxy=None))
    assert (await socket.receive())["type"] == "hello"
    return socket


async def test_a_ticket_opens_one_socket_on_whichever_process(twins: tuple[Server, Server]) -> None:
    here, there = twins
    async with Http(here) as http:
        ann = await http.register()
        ticket = await ticket_of(http, ann)
        socket = await enter(there, ticket)
        assert await refused(there, f"?ticket={ticket}") == 401
        assert await refused(here, f"?ticket={ticket}") == 401
        await socket.close()


async def test_of_many_who_show_one_ticket_at_once_one_gets_in(twins: tuple[Server, Server]) -> None:
    async with Http(twins[0]) as http:
        ticket = await ticket_of(http, await http.register())
        tries = [enter(server, ticket) for server in twins * 5]
        found = await asyncio.gather(*tries, return_exceptions=True)
        opened = [socket for socket in found if isinstance(socket, Socket)]
        assert len(opened) == 1
        assert all(isinstance(other, Socket | InvalidStatus) for other in found)
        await opened[0].close()


@pytest.mark.parametrize("shown", ["https://b.example", None])
async def test_a_ticket_is_good_for_the_page_that_asked_for_it_alone(
    twins: tuple[Server, Server], shown: str | None
) -> None:
    here, there = twins
    async with Http(here) as http:
        ann = await http.register()
        stolen = await ticket_of(http, ann, "https://a.example")
        headers = {"Origin": shown} if shown is not None else {}
        assert await refused(there, f"?ticket={stolen}", **headers) == 401
        assert await refused(there, f"?ticket={stolen}", Origin="https://a.example") == 401  # used up
        good = await ticket_of(http, ann, "https://a.example")
        await (await enter(there, good, origin="https://a.example")).close()


async def test_a_ticket_of_a_session_that_has_ended_is_good_for_nothing(twins: tuple[Server, Server]) -> None:
    here, there = twins
    async with Http(here) as http:
        ann = await http.register()
        ticket = await ticket_of(http, ann)
        await logout(http, ann, ann)
        assert await refused(there, f"?ticket={ticket}") == 401


@pytest.mark.parametrize("name", ["ticket", "token", "access_token", "authorization", "bearer"])
async def test_an_access_token_in_the_query_is_never_taken(shared_server: Server, http: Http, name: str) -> None:
    ann = await http.register()
    assert await refused(shared_server, f"?{name}={ann.access_token}") == 401
    assert (await http.call("GET", f"/me?{name}={ann.access_token}")).status_code == 401
    assert ann.access_token not in shared_server.log()


async def test_a_page_of_another_origin_gets_nowhere(shared_server: Server, http: Http) -> None:
    ann = await http.register()
    evil = {"Origin": "https://evil.example"}
    assert await refused(shared_server, **ann.headers, **evil) == 403
    for method, path in (("GET", "/me"), ("POST", "/auth/login"), ("POST", "/rooms")):
        answer = await http.call(method, path, by=ann, headers=evil)
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert await refused(shared_server, **ann.headers, Origin="null") == 403


# The token is judged before fields, existence and membership.
AFTER_EXPIRY: tuple[tuple[str, dict[str, Any]], ...] = (
    ("view", {"room_id": "r_nowhere"}),
    ("typing", {}),
    ("message", {"room_id": 5}),
    ("message", {"room_id": "r_nowhere", "content": ""}),
    ("nonsense", {}),
)


async def test_an_expired_token_is_warned_of_then_refused_then_closed(tmp_path: Path) -> None:
    with running(tmp_path, CHAT_ACCESS_TTL_S="3", CHAT_AUTH_GRACE_S="2") as server:
        async with Http(server) as http:
            ann, bob = await http.register(), await http.register()
            room = await http.create_room(ann)
            async with connected(bob) as early, connected(ann) as renewed, connected(ann) as forgetful:
                warned = await renewed.expect("auth_expiring")
                assert warned["expires_at"] == renewed.hello["token_expires_at"]
                await early.expect("auth_expiring")
                await _renewed(http, early, bob)
                await _until_refused(renewed, room["id"])
                for kind, fields in AFTER_EXPIRY:
                    answer = await renewed.ask(kind, **fields)
                    assert (answer["code"], answer["retry"]) == ("token_expired", "now"), kind
                assert (await renewed.ask("auth"))["code"] == "missing_field"
                assert (await renewed.ask("ping"))["type"] == "pong"
                assert (await http.call("GET", "/me", by=ann)).json()["code"] == "token_expired"
                assert await _renewed(http, renewed, ann) > warned["expires_at"]
                await renewed.say(room["id"], "still here")
                assert (await forgetful.closed())[0] == EXPIRED
                assert (await renewed.ask("ping"))["type"] == "pong"


async def _renewed(http: Http, socket: Socket, account: Account) -> str:
    """Renew the session and tell *socket*; until when its new token is good."""
    fresh = await http.call("POST", "/auth/refresh", json={"refresh_token": account.refresh_token})
    answer = await socket.ask("auth", access_token=http.account(fresh).access_token)
    assert answer["token_expires_at"] >= socket.hello["token_expires_at"]
    return str(answer["token_expires_at"])


async def _until_refused(socket: Socket, room_id: str) -> None:
    for _ in range(1000):
        if (await socket.ask("typing", room_id=room_id))["type"] == "error":
            return
        await asyncio.sleep(0.02)


async def test_a_socket_takes_a_token_of_its_own_session_alone(shared_server: Server, http: Http) -> None:
    ann, bob = await http.register(), await http.register()
    other = await sign_in_again(http, ann)
    async with connected(ann) as socket:
        for wrong in (bob.access_token, other.access_token, ann.refresh_token, "x.y.z"):
            assert (await socket.ask("auth", access_token=wrong))["code"] == "unauthorized"
        assert (await socket.ask("auth", access_token=ann.access_token))["type"] == "ack"


async def test_a_stolen_refresh_token_ends_the_session_for_thief_and_owner(http: Http) -> None:
    owner = await http.register()
    thief = http.account(await http.call("POST", "/auth/refresh", json={"refresh_token": owner.refresh_token}))
    reused = await http.call("POST", "/auth/refresh", json={"refresh_token": owner.refresh_token})
    assert reused.status_code == 401
    assert (await http.call("GET", "/me", by=thief)).status_code == 401
    again = await http.call("POST", "/auth/refresh", json={"refresh_token": thief.refresh_token})
    assert again.status_code == 401
