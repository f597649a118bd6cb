"""Guards what a delivery costs, in processor time over that of one bare write: no wall clock, no absolute figure."""

import pytest

from loadtests.bench.cost import cost

ALONE_MOST = 3.0  # 1.7 to 2.5 on the fast path, 3.6 to 4.3 without it, on machines with much else to do
PILED_UP_MOST = 0.4  # 0.14 to 0.2; above 1 if what piles up no longer leaves in one write


@pytest.mark.slow
@pytest.mark.alone  # the fewer at work, the steadier the ratio
@pytest.mark.timeout(300)  # no wall clock is judged, so a busy machine may take its time
def test_a_delivery_costs_about_two_bare_writes_and_far_less_than_one_when_messages_pile_up() -> None:
    found = cost()
    assert found.alone < ALONE_MOST
    assert found.piled_up < PILED_UP_MOST


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(300)
def test_the_guard_trips_when_the_fast_path_is_off() -> None:
    assert cost(direct=False).alone > ALONE_MOST
