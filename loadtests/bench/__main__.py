"""`python -m loadtests.bench [NAME …]`: run the benchmarks, print the table, keep the raw results, name regressions."""

import argparse
import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from loadtests import bench_changelog, bench_hostile
from loadtests.bench import cost, fanout, rooms, servers, service
from loadtests.bench.fanout import Stage
from loadtests.bench.record import keep, last_recorded
from loadtests.bench.servers import Absent
from loadtests.bench.table import NOISE_SHARE, Better, Figure, as_lines, regressions

RESULTS = Path("bench-results")
LOWER, HIGHER = Better.LOWER, Better.HIGHER
Notes = list[str]
FAILED = "failed"


def _peers(size: int) -> list[tuple[str, Callable[[], contextlib.AbstractContextManager[Stage]]]]:
    return [
        ("ws", lambda: fanout.peer_stage(lambda: servers.node("ws", "ws.js"), size)),
        ("broadcast", lambda: fanout.peer_stage(lambda: servers.python("websockets.broadcast", "broadcast.py"), size)),
    ]


def fan_out(notes: Notes) -> Iterator[Figure]:
    """One room of 200, 32 messages in flight: all viewing, none viewing, and the peers."""
    size, messages = 200, 3000
    with fanout.chat_stage(size) as stage:
        viewing = fanout.throughput(stage, messages=messages)
    with fanout.chat_stage(size, viewing=False) as stage:
        elsewhere = fanout.throughput(stage, messages=messages)
    yield Figure("fanout.viewing_cpu_us", viewing.cpu_us, LOWER, 2.5)
    yield Figure("fanout.elsewhere_cpu_us", elsewhere.cpu_us, LOWER, 2.5)
    yield Figure("fanout.viewing_per_s", viewing.deliveries_per_s, HIGHER)
    yield Figure("fanout.elsewhere_per_s", elsewhere.deliveries_per_s, HIGHER)
    for name, open_stage in [*_peers(size), ("socketio", lambda: fanout.socketio_stage(size))]:
        with _or_absent(name, notes), open_stage() as stage:
            peer = fanout.throughput(stage, messages=messages)
            goal = 5 if name == "socketio" else 3
            yield Figure(f"fanout.{name}_cpu_us", peer.cpu_us, LOWER)
            yield Figure(f"fanout.times_{name}", viewing.deliveries_per_s / peer.deliveries_per_s, HIGHER, goal)
            yield Figure(
                f"fanout.times_{name}_elsewhere", elsewhere.deliveries_per_s / peer.deliveries_per_s, HIGHER, goal
            )


def last_of_a_thousand(notes: Notes) -> Iterator[Figure]:
    """One message to a room of 1,000 with nothing else going on, p50 from commit to the last recipient."""
    with fanout.chat_stage(1000) as stage:
        commit_ms, spread_ms = fanout.last_heard_ms(stage, messages=60, acked=True)
    yield Figure("last.commit_ms", commit_ms, LOWER)
    yield Figure("last.spread_ms", spread_ms, LOWER)
    for name, open_stage in _peers(1000):
        with _or_absent(name, notes), open_stage() as stage:
            _, peer_ms = fanout.last_heard_ms(stage, messages=60, acked=False)
            yield Figure(f"last.{name}_ms", peer_ms, LOWER)
            yield Figure(f"last.share_of_{name}", spread_ms / peer_ms, LOWER, 1.0)


def durable(notes: Notes) -> Iterator[Figure]:
    """Durable sends acknowledged, 100 senders in 100 rooms; beside one `databases.execute` a message, at its best."""
    found = service.durable_sends()
    yield Figure("durable.acks_per_s", found["acks_per_s"], HIGHER, 4000)
    yield Figure("durable.ack_p50_ms", found["ack_p50_ms"], LOWER)
    yield Figure("durable.ack_p99_ms", found["ack_p99_ms"], LOWER, 60)
    yield Figure("durable.cpu_us_per_message", found["cpu_us_per_message"], LOWER)

    with _or_absent("one_execute", notes):
        plain = max(servers.printed("one_execute.py", senders, "3") for senders in ("1", "100"))
        yield Figure("durable.one_execute_per_s", plain, HIGHER)
        yield Figure("durable.times_one_execute", found["acks_per_s"] / plain, HIGHER, 10)


def handshakes(_: Notes) -> Iterator[Figure]:
    """Handshakes with token, membership and hello."""
    yield Figure("handshakes.per_s", service.handshakes()["per_s"], HIGHER, 400)


def idle(_: Notes) -> Iterator[Figure]:
    """10,000 idle connections on one process."""
    found = service.idle()
    yield Figure("idle.kib_per_connection", found["kib_per_connection"], LOWER, 40)
    yield Figure("idle.core_percent", found["core_percent"], LOWER, 5)


def history(_: Notes) -> Iterator[Figure]:
    """Pages of history, of a big room and of a small one."""
    found = service.history()
    yield Figure("history.newest_per_s", found["newest_per_s"], HIGHER, 600)
    yield Figure("history.small_over_newest", found["small_per_s"] / found["newest_per_s"], LOWER, 1.2)
    yield Figure("history.far_back_per_s", found["far_back_per_s"], HIGHER)
    yield Figure("history.near_over_far_back", found["near_per_s"] / found["far_back_per_s"], LOWER, 1.2)


def my_rooms(_: Notes) -> Iterator[Figure]:
    """`GET /me/rooms` for a user in 500 rooms."""
    yield Figure("my_rooms.median_ms", service.my_rooms()["median_ms"], LOWER, 20)


def growth(_: Notes) -> Iterator[Figure]:
    """What a delivery costs as the room grows from 10 to 5,000 connections, two to a person.

    With one to a person most of the time went into telling everyone of everyone's coming.
    """
    costs = {}
    for size in (10, 100, 1000, 5000):
        with fanout.chat_stage(size, sockets_each=2) as stage:
            costs[size] = fanout.throughput(stage, messages=max(60, 200_000 // size)).cpu_us
        yield Figure(f"growth.room_of_{size}_cpu_us", costs[size], LOWER)
    yield Figure("growth.5000_over_10", costs[5000] / costs[10], LOWER, 1.0)


def many_rooms(_: Notes) -> Iterator[Figure]:
    """What a message costs as the server's rooms grow from 10 to 10,000, each heard by one."""
    costs = {}
    for count, cpu_us in rooms.cpu_us_per_message((10, 100, 1000, 10_000)):
        costs[count] = cpu_us
        yield Figure(f"rooms.{count}_cpu_us", cpu_us, LOWER)
    yield Figure("rooms.10000_over_10", costs[10_000] / costs[10], LOWER, 1 + NOISE_SHARE)


def bare_writes(_: Notes) -> Iterator[Figure]:
    """A delivery as a share of one bare write to a transport: the figures that CI guards."""
    found = cost.cost()
    yield Figure("bare.alone_share", found.alone, LOWER)
    yield Figure("bare.piled_up_share", found.piled_up, LOWER)


def storm(_: Notes) -> Iterator[Figure]:
    """2,000 clients resume at once, 100 events behind."""
    found = service.reconnect_storm()
    yield Figure("storm.caught_up_s", found["caught_up_s"], LOWER, 10)
    yield Figure("storm.others_p99_ms", found["others_p99_ms"], LOWER, 500)


BENCHMARKS: dict[str, Callable[[Notes], Iterator[Figure]]] = {
    "fanout": fan_out,
    "last": last_of_a_thousand,
    "durable": durable,
    "handshakes": handshakes,
    "idle": idle,
    "history": history,
    "my_rooms": my_rooms,
    "growth": growth,
    "rooms": many_rooms,
    "bare": bare_writes,
    "storm": storm,
    "changelog": bench_changelog.figures,
    "hostile": bench_hostile.figures,
}


@contextlib.contextmanager
def _or_absent(name: str, notes: Notes) -> Iterator[None]:
    try:
        yield
    except Absent as why:
        notes.append(f"{name}: absent, {why}")
        print(f"  {name} is absent: {why}", file=sys.stderr)


def _measured(names: list[str], notes: Notes, before: Mapping[str, float]) -> Iterator[Figure]:
    """All figures of *names*, each told as it comes; a benchmark that breaks is noted, and the others still run."""
    started_s = time.monotonic()
    for number, name in enumerate(names, start=1):
        print(f"[{number}/{len(names)}] {name}, {time.monotonic() - started_s:.0f} s so far", file=sys.stderr)
        try:
            for figure in BENCHMARKS[name](notes):
                print(f"  {as_lines([figure], before)[0]}", file=sys.stderr, flush=True)
                yield figure
        except Exception as fault:  # noqa: BLE001 - boundary: whatever breaks one benchmark, the others' figures count
            traceback.print_exc()
            notes.append(f"{name}: {FAILED}, {type(fault).__name__}: {fault}")
            print(f"  {notes[-1]}", file=sys.stderr)


def _verdict(figures: list[Figure], notes: Notes, before: Mapping[str, float]) -> list[str]:
    """The whole table and what to look at, for people."""
    missed = [figure.name for figure in figures if figure.reached is False]
    worse = [figure.name for figure in regressions(figures, before)]
    compared = sum(figure.name in before for figure in figures)
    return [
        *as_lines(figures, before),
        *(note for note in notes if "absent" in note or FAILED in note),
        f"goals missed: {', '.join(missed) or 'none'}",
        f"regressions, more than {NOISE_SHARE:.0%} worse than recorded last: {', '.join(worse) or 'none'}",
        f"{compared} of {len(figures)} figures had been recorded before",
    ]


def main() -> int:
    """Run what is asked for; exit 1 if a goal is missed or a benchmark broke, 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there is {', '.join(BENCHMARKS)}")
    servers.take_client_core()
    recorded = last_recorded(RESULTS)
    before = {name: one.value for name, one in recorded.items()}
    notes = [f"{name}: {value}" for name, value in servers.versions().items()]
    figures: list[Figure] = []
    try:
        figures.extend(_measured(names, notes, before))
    except KeyboardInterrupt:
        notes.append(f"{FAILED}: interrupted")
    at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    raw, plot = keep(RESULTS, figures, at=at, notes=notes, before=recorded)
    print("\n".join(_verdict(figures, notes, before)))
    print(f"raw results and plot: {raw}, {plot}", file=sys.stderr)
    broke = any(FAILED in note for note in notes)
    return 1 if broke or any(figure.reached is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
