"""`opskit status` says what runs, what is parked, and that nothing does."""

import os

import pytest

from opskit.config import load
from opskit.deploy.context import context_of
from opskit.deploy.standing import in_words, standing
from opskit.errors import Refused
from opskit.git.runner import Git
from opskit.report import Report
from tests.conftest import lacking
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


def test_a_service_that_this_user_may_not_reach_is_not_told_as_stopped(running: Shop) -> None:
    if os.getuid() != 0:
        lacking("only root can become another user", install="run the tests as root")
    context = context_of(Git(running.path), load(running.path), "local", Report())
    os.seteuid(65534)
    try:
        with pytest.raises(Refused, match="another user's"):
            running.control.alive()
        facts = standing(context)
    finally:
        os.seteuid(0)
    assert (facts["healthy"], facts["fault"]) == (None, facts["fault"])
    assert "nothing is in service" not in in_words(facts)[0]
    assert "Permission denied" in facts["fault"]
