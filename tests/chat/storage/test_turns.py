"""Turns at writing: in order, and never for ever."""

import asyncio
from pathlib import Path

import pytest

from chat.storage import turns
from chat.storage.turns import Turns


async def test_who_has_just_written_waits_until_the_others_have(tmp_path: Path) -> None:
    first, second = Turns(tmp_path / "chat.db"), Turns(tmp_path / "chat.db")
    order: list[str] = []

    async def write(name: str, turn: Turns, started: asyncio.Event) -> None:
        for _ in range(5):
            async with turn:
                order.append(name)
                started.set()
                await asyncio.sleep(0.01)  # while the other one comes to stand in the queue

    for turn in (first, second):
        turn.open()
    started = asyncio.Event()
    writing = asyncio.create_task(write("a", first, started))
    await started.wait()
    await write("b", second, started)
    await writing
    assert order == ["a", "b"] * 5
    for turn in (first, second):
        turn.close()


async def test_one_who_never_ends_a_turn_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 0.05)
    stuck, other = Turns(tmp_path / "chat.db"), Turns(tmp_path / "chat.db")
    for turn in (stuck, other):
        turn.open()
    await stuck.__aenter__()
    async with other:
        pass
    for turn in (stuck, other):
        turn.close()
