"""The pure parts: restart rules, the state's copies, the wire, the log, telemetry."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit import telemetry
from opskit.deploy import wire
from opskit.deploy.control import LaunchSpec, Release
from opskit.deploy.supervisor import logs, policy
from opskit.deploy.supervisor.policy import Restart, after_exit
from opskit.deploy.supervisor.state import Slot, State, Store, pack, unpack

SPEC = LaunchSpec(release=Release("/r", "1.0.0", "a" * 40), command="serve", env={"A": "☕"}, path_prepend=("/bin",))


def test_the_first_restart_is_at_once_and_the_next_ones_back_off() -> None:
    delays = [after_exit(range(1, n + 1), early=0, now=n).delay_s for n in range(1, policy.EXITS_IN_WINDOW)]
    assert delays == [0, 0.5, 1, 2]


def test_the_fifth_exit_in_a_minute_is_a_crash_loop() -> None:
    assert after_exit([0, 10, 20, 30, 59], early=0, now=59) == Restart(60, crash_loop=True)
    assert not after_exit([0, 10, 20, 30, 61], early=0, now=61).crash_loop


def test_the_third_exit_before_ready_is_a_crash_loop() -> None:
    assert not after_exit([1, 2], early=2, now=2).crash_loop
    assert after_exit([1, 2, 3], early=3, now=3).crash_loop


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20).map(sorted), st.integers(0, 50))
def test_no_restart_waits_longer_than_five_minutes_and_a_loop_waits_at_least_one(
    exits: list[float], early: int
) -> None:
    restart = after_exit(exits, early=early, now=exits[-1])
    assert (60 if restart.crash_loop else 0) <= restart.delay_s <= 300


def test_a_state_comes_back_as_it_was_written() -> None:
    state = State(number=3, up=True, running=Slot(spec=SPEC, instance=7, exits_at=[1.5]), done=["x"])
    assert unpack(pack(state)) == state


@given(st.integers(0, 10_000), st.binary(max_size=4))
def test_a_torn_state_is_never_taken_for_a_whole_one(cut: int, garbage: bytes) -> None:
    whole = pack(State(number=3, running=Slot(spec=SPEC)))
    torn = whole[: min(cut, len(whole) - 1)] + garbage
    assert unpack(torn) is None or torn == whole


def test_a_field_of_a_newer_version_is_ignored() -> None:
    tree = wire.encode(State(number=5)) | {"added_later": 1}
    assert wire.decode(State, tree).number == 5


@dataclass(frozen=True)
class Named:
    name: str
    size: int = 0


@pytest.mark.parametrize("tree", [{}, {"name": 1}, {"name": "a", "size": "1"}, {"name": "a", "size": True}, [], None])
def test_a_tree_of_another_shape_is_malformed(tree: object) -> None:
    with pytest.raises(wire.Malformed, match="Named"):
        wire.decode(Named, tree)


def test_the_newest_whole_copy_of_the_state_is_taken(tmp_path: Path) -> None:
    memory = os.memfd_create("test")
    store = Store(tmp_path, memory)
    state = State()
    for _ in range(3):
        store.save(state)
    os.ftruncate(memory, 50)
    found, damaged = store.load()
    assert (found.number, damaged) == (3, ["memory"])
    (tmp_path / "state.json").write_bytes(b"{")
    found, damaged = store.load()
    assert (found.number, damaged) == (2, ["memory", "state.json"])
    os.close(memory)


def test_a_disk_that_refuses_the_state_is_noted_and_memory_has_it(tmp_path: Path) -> None:
    memory = os.memfd_create("test")
    store = Store(tmp_path / "gone", memory)
    store.save(State())
    assert "No such file" in store.fault
    assert store.load()[0].number == 1
    os.close(memory)


def output(directory: Path) -> tuple[logs.Output, int]:
    read, write = logs.pipe()
    return logs.Output(read, logs.ServiceLog(directory)), write


def test_the_log_gets_whole_lines_and_the_rest_at_the_end(tmp_path: Path) -> None:
    out, write = output(tmp_path)
    os.write(write, b"one\ntw")
    out.pump()
    assert (tmp_path / "service.log").read_bytes() == b"one\n"
    os.write(write, b"o\nthree")
    os.close(write)
    out.drain()
    assert (tmp_path / "service.log").read_bytes() == b"one\ntwo\nthree\n"
    assert list(out.tail) == ["one", "two", "three"]


def test_the_log_is_rotated_by_size_without_losing_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LIMIT_BYTES", 1000)
    log = logs.ServiceLog(tmp_path)
    for number in range(300):
        log.write(b"%05d\n" % number)
    files = [tmp_path / f"service.log.{n}" for n in (5, 4, 3, 2, 1)] + [tmp_path / "service.log"]
    kept = b"".join(path.read_bytes() for path in files if path.exists()).split()
    assert kept == [b"%05d" % number for number in range(300)][-len(kept) :]
    assert all(path.stat().st_size <= 1000 for path in files if path.exists())


def test_a_disk_that_refuses_log_lines_costs_those_lines_and_says_how_much(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    log = logs.ServiceLog(directory)
    log.write(b"lost\n")
    directory.mkdir()
    log.write(b"kept\n")
    log.write(b"kept too\n")
    written = (directory / "service.log").read_text(encoding="utf-8").splitlines()
    assert written == ["kept", "opskit: 5 bytes of log could not be written before this line", "kept too"]


def test_telemetry_is_read_back_in_order_and_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "LIMIT_BYTES", 500)
    for number in range(20):
        telemetry.record(tmp_path, "test", number=number)
    seen = [entry["number"] for entry in telemetry.read(tmp_path)]
    assert seen == list(range(20))[-len(seen) :]
    assert 5 < len(seen) <= 20
    assert not (tmp_path / "telemetry.jsonl.4").exists()


def test_a_torn_telemetry_line_does_not_take_the_next_one_along(tmp_path: Path) -> None:
    telemetry.record(tmp_path, "one")
    path = tmp_path / telemetry.FILE
    path.write_bytes(path.read_bytes() + b'{"at": "2026-11-2')
    telemetry.record(tmp_path, "two")
    assert [entry["event"] for entry in telemetry.read(tmp_path)] == ["one", "two"]


def test_a_disk_that_takes_a_part_of_a_log_line_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write = logs.ServiceLog(tmp_path), os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
        log.write(b"a long line\n")
    log.write(b"\nnext\n")
    written = (tmp_path / "service.log").read_text(encoding="utf-8")
    assert "opskit: 9 bytes of log could not be written before this line" in written


def test_a_torn_telemetry_line_is_left_out(tmp_path: Path) -> None:
    telemetry.record(tmp_path, "whole", room="cafe-☕")
    with (tmp_path / telemetry.FILE).open("a", encoding="utf-8") as file:
        file.write('{"event": "to\n')
    telemetry.record(tmp_path, "after")
    assert [entry["event"] for entry in telemetry.read(tmp_path)] == ["whole", "after"]
    first = (tmp_path / telemetry.FILE).read_text(encoding="utf-8").splitlines()[0]
    assert json.loads(first)["room"] == "cafe-☕"
