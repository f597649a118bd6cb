"""The server that strange input is sent to."""

from collections.abc import Iterator

import pytest

from tests.chat.server import Server, running


@pytest.fixture(scope="package")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which one may be in any number of rooms."""
    with running(
        tmp_path_factory.mktemp("roomy"), CHAT_MAX_ROOMS_PER_USER="100000", CHAT_TRUSTED_PROXIES="1"
    ) as server:
        yield server
