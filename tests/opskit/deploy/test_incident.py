"""The incident this project grew from, lived through with real deploys: hotfix, rollback, post-mortem."""

import shlex

import pytest

from opskit.git.runner import Git
from opskit.ledger import Ledger
from tests.opskit.deploy.shop import Shop


@pytest.mark.slow
def test_an_incident_is_lived_through_from_report_to_post_mortem(running: Shop) -> None:
    shop = running
    opened = shop.opskit("incident", "open", "Messages to café-☕ crash", "--severity", "S0", "--json").last
    assert (opened["id"], opened["decision"], opened["suspects"][0]["rollback"]) == ("INC-001", "hotfix", None)
    assert shop.opskit("incident", "assess", "1", "--json").last["decision"] == "hotfix"

    assert shop.opskit("hotfix", "start", "unicode", "--incident", "1").code == 0
    shop.commit(note="mended")
    assert shop.opskit("hotfix", "approve", "--reviewer", "Bo").code == 0
    finished = shop.opskit("hotfix", "finish", "--override", "users are waiting")
    assert finished.code == 0, finished.err
    assert shop.deploy().code == 0
    assert shop.serves == "1.0.1"

    again = shop.opskit("incident", "assess", "1", "--json").last
    assert again["decision"] == "fix_forward"
    way_back = shlex.split(again["suspects"][0]["rollback"])
    assert shop.opskit(*way_back[1:]).code == 0
    assert shop.serves == "1.0.0"
    after = shop.opskit("incident", "assess", "1", "--json").last
    assert (after["decision"], after["suspects"][0]["left"]) == ("hotfix", True)

    assert shop.deploy().code == 0
    assert shop.opskit("incident", "mitigate", "1").code == 0
    ended = shop.opskit("incident", "resolve", "1", "--json").last
    assert ended["state"] == "resolved"
    kinds = [row["kind"] for row in ended["timeline"]]
    wanted = [
        "incident",
        "hotfix_start",
        "approval",
        "hotfix_check",
        "hotfix",
        "deploy",
        "rollback",
        "deploy",
        "incident",
    ]
    rest = iter(kinds)
    assert all(kind in rest for kind in wanted), kinds
    known = {event.id for event in Ledger(Git(shop.path)).read()}
    assert {row["id"] for row in ended["timeline"]} <= known

    learnt = shop.opskit("postmortem", "1", "--write", "--json").last
    assert (learnt["did"], learnt["warnings"]) == ("created", [])
    assert "Mended by 1.0.1" in learnt["markdown"]
    assert "1.0.1 in production" in learnt["markdown"]
    assert "ACT-001" in learnt["markdown"]  # what the override passed over
    assert all(f"`{row['id']}`" in learnt["markdown"] for row in ended["timeline"])
    assert (shop.path / learnt["path"]).read_text(encoding="utf-8") == learnt["markdown"]


@pytest.mark.slow
def test_an_incident_right_after_an_upgrade_says_roll_back_and_how(running: Shop) -> None:
    shop = running
    shop.commit("v1.1.0")
    assert shop.deploy().code == 0
    opened = shop.opskit("incident", "open", "500s on the chat endpoint", "--severity", "S1", "--json").last
    assert (opened["decision"], "after the deploy of 1.1.0" in opened["rule"]) == ("rollback", True)
    said = shop.opskit("incident", "assess", "1").out
    command = "opskit rollback --target local --to 1.0.0 --reason INC-001"
    assert f"next: {command}\n" in said
    assert shop.opskit(*shlex.split(command)[1:]).code == 0
    assert shop.serves == "1.0.0"
