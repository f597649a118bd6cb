"""`python -m loadtests.bench_deploy`: 200 requests a second to the chat while it is deployed, rolled back, killed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.table import Better, Figure, as_rows
from loadtests.production import CommandFailed, Production, clone
from loadtests.steady import Failure, Steady, not_under_way

REQUESTS, PER_S = 2_000, 200.0
GOAL_MS = 500.0
CRASH_GOAL_MS = 3_000.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What clients saw of one event, and how long it took each time it was repeated."""

    name: str
    requests: int
    refused: int
    failures: list[Failure]
    unexcused: list[Failure]  # but of those that were under way when the service itself crashed
    before_s: float  # the slowest before anything was done: above the usual, the machine is busy with other things
    slowest_s: float
    seconds: list[float]

    def __str__(self) -> str:
        took = ", ".join(f"{one:.2f}" for one in self.seconds)
        return (
            f"{self.name}: {self.requests} requests, {self.refused} refused, {len(self.failures)} failed, "
            f"slowest {self.slowest_s * 1000:.0f} ms ({self.before_s * 1000:.0f} ms before); took {took} s"
        )


def under_load(
    production: Production, name: str, act: Callable[[], float], *, times: int = 1, crash: bool = False
) -> Outcome:
    """Do *act* (which returns the seconds it took) *times* times, spread over at least `REQUESTS` requests."""
    bearer = {"Authorization": f"Bearer {production.person().token}"}
    seconds: list[float] = []
    began_s: list[float] = []
    before_s = 0.0
    with Steady(production.url, "/me/rooms", headers=bearer, per_s=PER_S) as load:
        for turn in range(1, times + 1):
            load.until(REQUESTS * turn // (times + 1))
            before_s = before_s if began_s else load.slowest_s
            began_s.append(time.monotonic())
            seconds.append(act())
        load.until(max(REQUESTS, load.done + int(PER_S)))
    unexcused = not_under_way(load.failures, at_s=began_s) if crash else load.failures
    return Outcome(name, load.done, load.refused, load.failures, unexcused, before_s, load.slowest_s, seconds)


def crash(production: Production, pid: int) -> float:
    """`kill -9` of the service's process *pid*; seconds to the first answer."""
    began_s = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    production.get("/version")
    return time.monotonic() - began_s


def deploy(production: Production) -> float:
    """Seconds of a whole deploy with unchanged dependencies and no migration, both smoke runs included."""
    production.commit()
    return _timed(lambda: production.opskit("deploy", "HEAD", "--yes"))


def roll_back(production: Production, to: str, *options: str) -> float:
    """Seconds from calling `opskit rollback` to the first answer of commit *to*."""
    began_s = time.monotonic()
    command = [sys.executable, "-m", "opskit", "rollback", "--reason", "measured", "--yes", *options]
    with subprocess.Popen(
        command, cwd=production.path, env=production.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        production.until_it_serves(to)
        took_s = time.monotonic() - began_s
    if process.returncode:
        raise CommandFailed(f"opskit rollback ended with {process.returncode}")
    return took_s


def supervisor_kill(production: Production) -> Outcome:
    """`kill -9` of the supervisor, three times."""
    return under_load(production, "supervisor_kill", lambda: _timed(lambda: production.kill("supervisor")), times=3)


def keeper_kill(production: Production) -> Outcome:
    """`kill -9` of the keeper, three times."""
    return under_load(production, "keeper_kill", lambda: _timed(lambda: production.kill("keeper")), times=3)


def upgrade(production: Production) -> Outcome:
    """Keeper and supervisor run other code from one moment to the next, twice."""
    return under_load(production, "upgrade", lambda: _timed(production.upgrade), times=2)


def service_kill(production: Production) -> Outcome:
    """`kill -9` of the service, twice."""
    pids = [production.service_pid()]

    def once_more() -> float:
        took_s = crash(production, pids[-1])
        pids.append(production.service_pid())
        return took_s

    return under_load(production, "crash", once_more, times=2, crash=True)


UPKEEP = (supervisor_kill, keeper_kill, upgrade, service_kill)


def changes(production: Production) -> Iterator[Outcome]:
    """Deploys and rollbacks; the first release must be in service."""
    first = production.serves
    yield under_load(production, "deploy", lambda: deploy(production))
    second = production.serves
    yield under_load(production, "rollback_to_parked", lambda: roll_back(production, first))
    deploy(production)
    yield under_load(production, "rollback_to_retained", lambda: roll_back(production, second, "--to", second))


def figures(production: Production) -> Iterator[Figure]:
    """All of it; the first deploy, which installs what the service needs, is not measured."""
    production.opskit("deploy", "HEAD", "--yes")
    yield Figure("deploy.unchanged_dependencies_s", deploy(production), Better.LOWER, 15)
    longest_s = {"rollback_to_parked": 1.0, "rollback_to_retained": 6.0, "crash": 3.0}
    for outcome in (*changes(production), *(event(production) for event in UPKEEP)):
        print(outcome, file=sys.stderr, flush=True)
        name = f"{outcome.name}."
        yield Figure(f"{name}refused", outcome.refused, Better.LOWER, 0)
        yield Figure(f"{name}failed_but_in_flight", len(outcome.unexcused), Better.LOWER, 0)
        goal_ms = CRASH_GOAL_MS if outcome.name == "crash" else GOAL_MS
        yield Figure(f"{name}slowest_ms", outcome.slowest_s * 1000, Better.LOWER, goal_ms)
        yield Figure(f"{name}seconds", max(outcome.seconds), Better.LOWER, longest_s.get(outcome.name))


def _timed(act: Callable[[], object]) -> float:
    began_s = time.monotonic()
    act()
    return time.monotonic() - began_s


def main() -> int:
    """Print the table; 1 if a goal is missed."""
    found = []
    with tempfile.TemporaryDirectory(prefix="bench-deploy-") as folder:
        production = clone(Path(folder))
        try:
            for figure in figures(production):
                found.append(figure)
                for row in as_rows([figure], {}):
                    print(f"{row[0]:<44}{row[1]:>10}  {row[2]:<10}{row[3]}", flush=True)
        finally:
            production.stop()
    return 1 if any(figure.reached is False for figure in found) else 0


if __name__ == "__main__":
    sys.exit(main())
