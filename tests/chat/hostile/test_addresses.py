"""Nobody chooses the address that limits count and that guarded pages trust."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from werkzeug.datastructures import Headers

from chat.web.peers import address_of, is_local
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
    ],
)
def test_the_address_is_the_one_that_the_trusted_proxies_saw(
    lines: Sequence[str], trusted_proxies: int, address: str
) -> None:
    headers = Headers([("X-Forwarded-For", line) for line in lines])
    assert address_of(headers, PEER, trusted_proxies=trusted_proxies) == address


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
    for spoofed in ("127.0.0.1, 203.0.113.7", "localhost, 203.0.113.7"):
        answer = await ask(behind_a_proxy, request("GET", "/metrics", headers=[("X-Forwarded-For", spoofed)]))
        assert answer.status == 401
