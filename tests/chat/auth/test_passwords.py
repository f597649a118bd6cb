"""Password hashes: whole, peppered, and never more at once than the pool takes."""

import asyncio
from collections.abc import Iterator

import pytest

from chat.auth import passwords as module
from chat.auth.passwords import Passwords
from chat.protocol.errors import Unavailable


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(b"p" * 64, cost=4)
    yield made
    made.close()


@pytest.mark.parametrize("password", ["correct horse", "é" * 128, "☕" * 128, "\x01" * 8, "a" * 127 + "b"])
async def test_a_password_verifies_against_its_own_hash_only(passwords: Passwords, password: str) -> None:
    stored = await passwords.hash(password)
    assert await passwords.verify(password, stored)
    assert not await passwords.verify(password[:-1] + "!", stored)
    assert password not in stored


async def test_a_stolen_hash_is_of_no_use_without_the_pepper(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    other = Passwords(b"q" * 64, cost=4)
    assert not await other.verify("correct horse", stored)
    other.close()


@pytest.mark.parametrize("stored", [None, "plain$correct horse", "md5$x"])
async def test_nobody_and_unknown_schemes_match_no_password(passwords: Passwords, stored: str | None) -> None:
    assert not await passwords.verify("correct horse", stored)
    assert passwords.checks == 1


async def test_too_many_at_once_are_unavailable_and_the_rest_go_on(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 5)
    done = await asyncio.gather(*(passwords.hash("x" * 8) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(d, Unavailable) for d in done) == 3
    assert await passwords.hash("x" * 8)


async def test_a_hash_says_its_cost(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    dearer = Passwords(b"p" * 64, cost=5)
    assert (passwords.outdated(stored), dearer.outdated(stored)) == (False, True)
    assert await dearer.verify("correct horse", stored)
    dearer.close()
