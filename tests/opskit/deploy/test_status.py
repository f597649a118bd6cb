"""`opskit status` says what runs, what is parked, and that nothing does."""

from tests.opskit.deploy.shop import Shop


def test_status_says_what_runs_and_what_is_parked(running: Shop) -> None:
    running.commit("v1.1.0")
    assert running.deploy().code == 0
    told = running.opskit("status", "--json").last
    assert set(told) == {"schema", "branches", "version", "targets", "operation", "incidents", "actions"}
    target = told["targets"][0]
    assert (target["name"], target["release"], target["healthy"], target["url"]) == (
        "local",
        "1.1.0",
        True,
        running.url,
    )
    assert target["parked"]["release"] == "1.0.0"
    assert told["version"]["current"] == "1.1.0"
    assert told["operation"] is None
    people = running.opskit("status").out
    assert "local: 1.1.0 (" in people
    running.opskit("stop")
    assert "local: nothing is in service" in running.opskit("status").out
