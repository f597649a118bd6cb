"""The five measures at their boundaries, and what must hold of them for any deployments."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.dora.deployments import Deployment
from opskit.dora.measures import INSUFFICIENT, Measure, measures, percentile
from opskit.dora.page import bars

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
KEYS = [
    "change_lead_time",
    "deployment_frequency",
    "failed_deployment_recovery_time",
    "change_fail_rate",
    "deployment_rework_rate",
]


def one(
    days_ago: float, *, recovery_s: float | None = None, rework: bool = False, leads: tuple[float, ...] = ()
) -> Deployment:
    at = NOW - timedelta(days=days_ago)
    recovered = None if recovery_s is None else at + timedelta(seconds=recovery_s)
    return Deployment(at=at, target="live", version="1", commit="c", rework=rework, recovered=recovered, lead_s=leads)


def measured(*found: Deployment, days: float = 14) -> dict[str, Measure]:
    return {each.key: each for each in measures(found, since=NOW - timedelta(days=days), now=NOW)}


def test_they_are_the_five_and_each_has_its_definition() -> None:
    assert list(measured()) == KEYS
    assert all(each.as_json()["definition"] and each.as_json()["n"] == 0 for each in measured().values())


def test_four_say_nothing_and_five_do() -> None:
    four, five = measured(*[one(1)] * 4), measured(*[one(1)] * 5)
    assert four["deployment_frequency"].as_json()["per_week"] is None
    assert four["deployment_frequency"].words == four["change_fail_rate"].words == INSUFFICIENT
    assert five["deployment_frequency"].as_json() | {"definition": ""} == {
        "n": 5,
        "per_week": 2.5,
        "note": "",
        "text": "2.5 a week",
        "definition": "",
    }


def test_rates_are_shares_of_all_deployments() -> None:
    found = [one(1), one(2), one(3, rework=True), one(4, recovery_s=60), one(5, recovery_s=120)]
    assert measured(*found)["change_fail_rate"].values == {"rate": 0.4}
    assert measured(*found)["deployment_rework_rate"].values == {"rate": 0.2}
    assert measured(*found)["failed_deployment_recovery_time"].as_json()["n"] == 2
    assert measured(*found)["failed_deployment_recovery_time"].words == INSUFFICIENT


def test_lead_time_is_of_changes_not_of_deployments() -> None:
    lead = measured(one(1, leads=(10.0, 20.0, 30.0)), one(2, leads=(40.0, 50.0)))["change_lead_time"]
    assert (lead.n, lead.values) == (5, {"median_s": 30, "p90_s": 50})


def test_recovery_is_told_in_words_too() -> None:
    found = [one(1, recovery_s=hours * 3600) for hours in (1, 2, 3.5, 4, 8)]
    assert measured(*found)["failed_deployment_recovery_time"].words == "median 3.5 hours, p90 8 hours"


def test_the_period_is_closed_on_both_sides() -> None:
    assert measured(one(14), one(0), one(14.001), one(-0.001))["deployment_frequency"].n == 2


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (10, 1), (11, 2), (50, 5), (90, 9), (91, 10), (100, 10)])
def test_a_percentile_is_the_nearest_rank(percent: float, value: float) -> None:
    assert percentile(range(10, 0, -1), percent) == value


@given(
    st.lists(
        st.builds(
            one,
            st.floats(-5, 40),
            recovery_s=st.none() | st.floats(0, 1e6),
            rework=st.booleans(),
            leads=st.lists(st.floats(0, 1e7), max_size=4).map(tuple),
        ),
        max_size=30,
    )
)
def test_every_figure_is_in_its_bounds_and_the_order_of_deployments_says_nothing(found: list[Deployment]) -> None:
    here = measured(*found)
    assert [each.values for each in here.values()] == [each.values for each in measured(*reversed(found)).values()]
    for each in here.values():
        assert each.sufficient or set(each.values.values()) == {None}
        assert all(value is None or value >= 0 for value in each.values.values())
        assert each.unit != "share" or (each.values["rate"] or 0) <= 1
    lead = here["change_lead_time"].values
    assert (lead["median_s"] or 0) <= (lead["p90_s"] or 0)
    drawn = bars(found, now=NOW)
    assert sum(bar.all for bar in drawn) <= len(found)
    assert all(0 <= bar.bad <= bar.high <= 120 for bar in drawn)
