"""Two servers on one database, as during a deploy."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.chat.conversation.world import World
from tests.chat.server import Http, Server, running


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two processes with one data directory."""
    folder = tmp_path_factory.mktemp("pair")
    with running(folder) as one, running(folder) as other:
        yield [one, other]


@pytest.fixture
def pair(both: list[Server]) -> list[Server]:
    """Two running processes with one data directory; a test may end them."""
    for server in both:
        if not server.running:
            server.start()
    return both


@pytest.fixture
async def https(pair: list[Server]) -> AsyncIterator[list[Http]]:
    """An HTTP client for each of the pair."""
    async with Http(pair[0]) as one, Http(pair[1]) as other:
        yield [one, other]


@pytest.fixture
async def world(pair: list[Server], https: list[Http]) -> AsyncIterator[World]:
    """People with a phone connected to each of the pair, all but the last in both of two rooms."""
    made = World(pair, https)
    await made.open(people=4, rooms=2)
    for phones in made.phones:
        for phone, server in zip(phones, pair, strict=True):
            await phone.connect(server)
    yield made
    await made.close()
    assert not made.faults, made.faults
