"""The real chat under 200 requests a second, through whatever operators and accidents do to it."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadtests import bench_deploy
from loadtests.bench_deploy import REQUESTS, UPKEEP, Outcome
from loadtests.production import CommandFailed, Production, clone
from opskit.deploy import environments

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]
TRIES = 3  # for what is held to a time: the machine may be busy with other things
CALM_S, GOAL_S = 0.3, 0.5
DEPLOY_S, DEPLOY_LONGEST_S = 15.0, 30.0  # the goal, which the benchmark holds, and what no machine may need
LONGEST_S = {"crash": 3.0}
TOOK_S = {
    "supervisor_kill": 2.0,
    "keeper_kill": 2.0,
    "upgrade": 10.0,
    "crash": 3.0,
    "deploy": 40.0,  # beside the load; by itself 15 s, below
    "rollback_to_parked": 1.0,
    "rollback_to_retained": 6.0,
}


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """The chat of this checkout in service, with the packages that are installed here."""
    made = clone(tmp_path_factory.mktemp("production"))
    place = environments.environment_dir(made.state_dir / "environments", made.path)
    place.mkdir(parents=True)
    (place / "lib").symlink_to(Path(sys.prefix) / "lib")
    environments.mark_ready(place)
    try:
        made.opskit("deploy", "HEAD", "--yes")
        yield made
    finally:
        made.stop()


def late(outcome: Outcome) -> bool:
    """Hold it to the contract, and say whether it took longer than it may. A busy machine says nothing of times."""
    calm = outcome.before_s < CALM_S
    print(outcome, "" if outcome.slowest_s < GOAL_S else f"(goal: {GOAL_S:g} s)", "" if calm else "(busy machine)")
    assert outcome.requests >= REQUESTS
    assert outcome.refused == 0
    assert outcome.unexcused == []
    slow = outcome.slowest_s > LONGEST_S.get(outcome.name, 2.0) or max(outcome.seconds) > TOOK_S[outcome.name]
    return calm and slow


def busy() -> bool:
    """Whether this machine has so much else to do that it says nothing of times."""
    return os.getloadavg()[0] > 2 * (os.cpu_count() or 1)


@pytest.mark.parametrize("event", UPKEEP)
def test_no_request_is_refused_or_fails_but_those_in_flight_at_a_crash(
    production: Production, event: Callable[[Production], Outcome]
) -> None:
    assert any(not late(event(production)) for _ in range(TRIES))


def test_a_deploy_with_unchanged_dependencies_and_no_migration_is_quick(production: Production) -> None:
    seconds = []
    for _ in range(TRIES):
        seconds.append(bench_deploy.deploy(production))
        print(f"deploy: {seconds[-1]:.1f} s")
        if seconds[-1] < DEPLOY_S:
            return
    assert busy() or min(seconds) < DEPLOY_LONGEST_S


def test_deploys_and_rollbacks_fail_no_request_and_are_quick(production: Production) -> None:
    assert any(all_in_time(production) for _ in range(TRIES))


def all_in_time(production: Production) -> bool:
    try:
        return sum(map(late, bench_deploy.changes(production))) == 0
    except CommandFailed as failed:  # a service that gets no processor fails its smoke, and is rightly put back
        if not busy():
            raise
        print(f"(busy machine) {failed}")
        return False
