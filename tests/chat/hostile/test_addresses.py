"""Nobody chooses the address that limits count and that guarded pages trust."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from werkzeug.datastructures import Headers

from chat.protocol.errors import OriginNotAllowed
from chat.web.peers import address_of, check_origin, is_local, neighbourhood_of
from tests.chat.hostile.wire import ask, pipelined, request
from tests.chat.server import Server, running

PEER = "127.0.0.1"


@pytest.mark.parametrize(
    ("lines", "trusted_proxies", "address"),
    [
        ([], 0, PEER),
        ([], 1, PEER),
        (["203.0.113.7"], 0, PEER),
        (["203.0.113.7"], 1, "203.0.113.7"),
        (["127.0.0.1, 203.0.113.7"], 1, "203.0.113.7"),
        (["127.0.0.1", "203.0.113.7"], 1, "203.0.113.7"),
        (["127.0.0.1", "198.51.100.1, 203.0.113.7"], 2, "198.51.100.1"),
        (["203.0.113.7"], 3, "203.0.113.7"),
        ([" , ,203.0.113.7, "], 1, "203.0.113.7"),
        (["203.0.113.7:4711"], 1, "203.0.113.7"),
        (["[2001:DB8::1]:4711"], 1, "2001:db8::1"),
        (["[2001:db8:0:0::1]"], 1, "2001:db8::1"),
        (["2001:db8::1"], 1, "2001:db8::1"),
        (["::ffff:203.0.113.7"], 1, "203.0.113.7"),
        (["[::ffff:cb00:7107]:80"], 1, "203.0.113.7"),
        (['"[2001:db8::1]:4711"'], 1, "2001:db8::1"),
        (["unknown"], 1, "unknown"),
        (["_hidden"], 1, "unknown"),
        (["127.0.0.1", "garbage"], 1, "unknown"),
        (["203.0.113.7:80:80"], 1, "unknown"),
        (["203.0.113.٧"], 1, "unknown"),
        (["localhost"], 1, "unknown"),
        (["127.0.0.1 x"], 1, "unknown"),
        (["x" * 10_000], 1, "unknown"),
    ],
)
def test_the_address_is_the_one_that_the_trusted_proxies_saw(
    lines: Sequence[str], trusted_proxies: int, address: str
) -> None:
    headers = Headers([("X-Forwarded-For", line) for line in lines])
    assert address_of(headers, PEER, trusted_proxies=trusted_proxies) == address


@pytest.mark.parametrize(
    ("peer", "address"), [("::ffff:127.0.0.1", "127.0.0.1"), ("<local>", "<local>"), ("2001:DB8::1", "2001:db8::1")]
)
def test_the_peer_has_one_spelling_too(peer: str, address: str) -> None:
    assert address_of(Headers(), peer, trusted_proxies=0) == address


@pytest.mark.parametrize(
    ("address", "neighbours"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_subscriber_counts_as_one(address: str, neighbours: str) -> None:
    assert neighbourhood_of(address) == neighbours


@pytest.mark.parametrize(
    ("host", "origin", "encrypted", "own"),
    [
        ("localhost:8000", "http://localhost:8000", False, True),
        ("LOCALHOST:8000", "http://localhost:8000", False, True),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", False, True),
        ("[::1]:8000", "http://[::1]:8000", False, True),
        ("localhost:8000", "https://localhost:8000", False, False),
        ("localhost:8000", "https://localhost:8000", True, True),
        ("localhost:8000", "http://localhost:8000", True, True),
        ("localhost:8000", "http://localhost:9000", False, False),
        ("localhost:8000", "http://127.0.0.1:8000", False, False),
        ("chat.example.org", "http://chat.example.org", False, False),
        ("localhost.evil.example", "http://localhost.evil.example", False, False),
        ("127.0.0.1.evil.example", "http://127.0.0.1.evil.example", False, False),
        ("localhost:8000", "null", False, False),
        ("localhost:8000", "", False, False),
        ("", "http://", False, False),
    ],
)
def test_the_own_origin_is_that_of_this_machine(host: str, origin: str, encrypted: bool, own: bool) -> None:
    headers = Headers({"Host": host, "Origin": origin})
    if own:
        assert check_origin(headers, public_url=None, allowed=(), encrypted=encrypted) == origin
    else:
        with pytest.raises(OriginNotAllowed):
            check_origin(headers, public_url=None, allowed=(), encrypted=encrypted)


def test_with_a_public_url_that_is_the_own_origin_alone() -> None:
    public, allowed = "https://chat.example.org", ("https://friend.example.org",)
    for origin, good in ((public, True), (allowed[0], True), ("http://localhost:8000", False), ("null", False)):
        headers = Headers({"Host": "localhost:8000", "Origin": origin})
        with contextlib.nullcontext() if good else pytest.raises(OriginNotAllowed):
            check_origin(headers, public_url=public, allowed=allowed)


def test_what_came_through_an_unknown_proxy_is_not_local() -> None:
    for name in ("X-Forwarded-For", "Forwarded"):
        assert not is_local(Headers([(name, "127.0.0.1")]), PEER, trusted_proxies=0)
    assert is_local(Headers(), PEER, trusted_proxies=0)


@pytest.fixture
def behind_a_proxy(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path, CHAT_TRUSTED_PROXIES="1", CHAT_RATE_AUTH_PER_MIN="5") as server:
        yield server


async def test_a_spoofed_header_neither_evades_the_limit_nor_opens_the_metrics(behind_a_proxy: Server) -> None:
    def login(spoofed: str) -> bytes:
        headers = [("X-Forwarded-For", spoofed), ("X-Forwarded-For", "203.0.113.7")]
        return request("POST", "/auth/login", body={"username": "nobody", "password": "whatever"}, headers=headers)

    tries = [login(spoofed) for spoofed in ("127.0.0.1", "::1", *(f"198.51.100.{n}" for n in range(8)))]
    answers = await pipelined(behind_a_proxy, tries, connections=1)
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 5
    assert int(answers[-1].headers["retry-after"]) >= 1
    neighbours = [
        request(
            "POST",
            "/auth/login",
            body={"username": "nobody", "password": "whatever"},
            headers=[("X-Forwarded-For", f"[2001:db8::{n:x}]:{n + 1}")],
        )
        for n in range(8)
    ]
    answers = await pipelined(behind_a_proxy, neighbours, connections=1)
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 3
    for spoofed in ("127.0.0.1, 203.0.113.7", "localhost, 203.0.113.7"):
        answer = await ask(behind_a_proxy, request("GET", "/metrics", headers=[("X-Forwarded-For", spoofed)]))
        assert answer.status == 401


def test_every_origin_of_a_request_must_be_one_that_may_talk_to_the_server() -> None:
    for origins in (["http://localhost:8000", "http://evil.example"], ["http://evil.example", "http://localhost:8000"]):
        headers = Headers([("Host", "localhost:8000"), *(("Origin", origin) for origin in origins)])
        with pytest.raises(OriginNotAllowed, match="evil"):
            check_origin(headers, public_url=None, allowed=())
