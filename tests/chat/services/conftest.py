"""One or two processes' worth of the service on one real SQLite file."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from chat.protocol.log import Committed, Who
from chat.services import Chat
from chat.settings import Settings


@pytest.fixture
async def chat(settings: Settings) -> AsyncIterator[Chat]:
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1") as chat:
        yield chat


@pytest.fixture
async def other(settings: Settings, chat: Chat) -> AsyncIterator[Chat]:
    """A second process on the same file, as during a deploy."""
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_2") as other:
        yield other


async def signed_in(chat: Chat, name: str) -> Who:
    """A new account's `Who`."""
    made = await chat.accounts.register(name, "correct horse")
    return await chat.sessions.authenticate(made.access_token)


@asynccontextmanager
async def _recorded(settings: Settings, process_id: str) -> AsyncIterator[tuple[Chat, list[Committed]]]:
    seen: list[Committed] = []
    async with Chat.open(settings, on_commit=seen.append, process_id=process_id) as chat:
        yield chat, seen


Recorded = Callable[[Settings, str], AbstractAsyncContextManager[tuple[Chat, list[Committed]]]]


@pytest.fixture
def recorded() -> Recorded:
    return _recorded
