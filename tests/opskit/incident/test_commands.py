"""`opskit incident` from outside: real repositories, real remotes, two clones at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from opskit.git.runner import Git
from opskit.incident import book
from opskit.ledger import Ledger
from tests.opskit.repos import Ran, Repo, Repos

ODD = "Messages to café-☕ crash\nthe |server| <b>*\u2028\x1b[31m `x`"


def opened(here: Repo, *more: str, title: str = "rooms crash") -> Ran:
    return here.opskit("incident", "open", title, "--severity", "S0", "--json", *more)


def test_an_incident_from_its_opening_to_its_end(repos: Repos) -> None:
    here = repos.project().here
    ran = opened(here, "--impact", "nobody can chat", "--detected-at", "3.5 hours ago", title=ODD)
    assert ran.code == 0, ran.err
    title = "Messages to café-☕ crash the |server| <b>* [31m `x`"
    assert (ran.json["schema"], ran.json["id"], ran.json["title"]) == (1, "INC-001", title)
    assert (ran.json["severity"], ran.json["state"], ran.json["shared"]) == ("S0", "open", True)
    assert [moment is None for moment in ran.json["times"].values()] == [False, False, True, True]
    noted = here.opskit("incident", "note", "1", "only", "☕\u2028\nsecond line", "--json")
    assert noted.json["timeline"][-1]["text"] == "only ☕\u2028\nsecond line"
    assessed = here.opskit("incident", "assess", "inc-1", "--json")
    assert (assessed.json["decision"], assessed.json["suspects"]) == ("hotfix", [])
    for word in ("Severity", "Impact", "Decision", "Rule", "Suspect changes"):
        assert word in assessed.err
    assert here.opskit("incident", "mitigate", "INC-1", "--at", "1 hour ago").code == 0
    assert here.opskit("status", "--json").json["incidents"][0]["state"] == "mitigated"
    ended = here.opskit("incident", "resolve", "INC-001", "--json")
    assert (ended.code, ended.json["state"], ended.json["written"]) == (0, "resolved", True)
    assert here.opskit("status", "--json").json["incidents"] == []
    [listed] = here.opskit("incident", "--json").json["incidents"]
    assert (listed["id"], listed["severity"], listed["state"], listed["decision"]) == (
        "INC-001", "S0", "resolved", "hotfix",
    )  # fmt: skip
    shown = here.opskit("incident", "show", "1")
    assert all(row["id"] in shown.out for row in ended.json["timeline"])
    assert Ledger(Git(here.path)).verify() == []
    assert here.git("log", "-1", "--format=%s", "refs/opskit/ledger") == "INC-001 resolved"


def test_the_same_again_is_harmless_and_what_is_not_allowed_is_refused(repos: Repos) -> None:
    here = repos.project().here
    opened(here)
    assert here.opskit("incident", "assess", "1").code == 0
    assert here.opskit("incident", "resolve", "1").code == 0
    before = here.rev("refs/opskit/ledger")
    again = here.opskit("incident", "resolve", "1", "--json")
    assert (again.code, again.json["state"], again.json["written"]) == (0, "resolved", False)
    refused = here.opskit("incident", "mitigate", "1", "--json")
    assert (refused.code, refused.json["error"].endswith("nothing is left to mitigate")) == (3, True)
    assert here.rev("refs/opskit/ledger") == before
    assert here.opskit("incident", "note", "1", "learnt later").code == 0


def test_assessing_again_writes_only_what_changed(repos: Repos) -> None:
    here = repos.project().here
    opened(here)
    written = [
        here.opskit("incident", "assess", "1", *more, "--json").json["written"]
        for more in ([], [], ["--impact", "nobody can chat"])
    ]
    assert written == [True, False, True]


def test_a_draft_waits_for_a_severity(repos: Repos) -> None:
    here = repos.project().here
    data = {"state": "draft", "title": "1.1.0 crashed", "target": "local", "version": "1.1.0", "number": 1}
    Ledger(Git(here.path)).append("incident", {**data, "name": "INC-001"}, subject="INC-001: crashed")
    assert here.opskit("incident", "mitigate", "1").code == 3
    unsaid = here.opskit("incident", "assess", "1")
    assert (unsaid.code, "--severity S0" in unsaid.err) == (2, True)
    assessed = here.opskit("incident", "assess", "1", "--severity", "s1", "--json").json
    assert (assessed["state"], assessed["severity"], assessed["decision"]) == ("open", "S1", "rollback")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("open", "x", "--severity", "bad"), "S3 cosmetic"),
        (("open", "x"), "--severity"),
        (("open", " \n", "--severity", "S1"), "TITLE is empty"),
        (("open", "x", "--severity", "S1", "--detected-at", "soon"), "35 minutes ago"),
        (("open", "x", "--severity", "S1", "--detected-at", "2999-01-01"), "in the future"),
        (("show", "7"), "open are INC-001 (rooms crash)"),
        (("note", "1", ""), "TEXT is empty"),
        (("mitigate", "1", "--at", "2020-01-01"), "it was detected at"),
    ],
)
def test_a_wrong_call_is_usage_and_says_what_would_be_right(repos: Repos, call: tuple[str, ...], said: str) -> None:
    here = repos.project().here
    if call[0] != "open":
        opened(here)
    ran = here.opskit("incident", *call)
    assert (ran.code, said in ran.err, "Traceback" in ran.err) == (2, True, False), ran.err


def test_a_dry_run_tells_all_and_writes_nothing(repos: Repos) -> None:
    here = repos.project().here
    planned = opened(here, "--dry-run")
    assert (planned.code, planned.json["id"], planned.json["written"]) == (0, "INC-001", False)
    assert here.git("for-each-ref", "refs/opskit") == ""
    opened(here)
    before = here.rev("refs/opskit/ledger")
    for act in (["note", "1", "x"], ["assess", "1"], ["resolve", "1"]):
        assert here.opskit("incident", *act, "--dry-run", "--json").json["dry_run"] is True
    assert here.rev("refs/opskit/ledger") == before


def test_two_clones_that_open_at_once_get_two_numbers_and_see_each_other(repos: Repos) -> None:
    here = repos.project().here
    clones = [here.clone(f"clone{n}") for n in range(2)]
    with ThreadPoolExecutor() as pool:
        every = list(
            pool.map(lambda c: c.spawned("incident", "open", c.path.name, "--severity", "S1", "--json"), clones)
        )
    assert sorted(ran.json["id"] for ran in every) == ["INC-001", "INC-002"], [ran.err for ran in every]
    assert all(ran.json["shared"] for ran in every)
    seen = here.opskit("incident", "list", "--json").json["incidents"]
    assert {one["id"]: one["title"] for one in seen} == {ran.json["id"]: ran.json["title"] for ran in every}
    assert clones[0].opskit("incident", "resolve", "INC-002").code == 0
    assert clones[1].opskit("incident", "show", "2", "--json").json["state"] == "resolved"


def test_offline_an_incident_is_kept_here_with_a_suffix_and_shared_later_under_the_same_name(repos: Repos) -> None:
    project = repos.project()
    here, other = project.here, project.here.clone("other")
    here.git("remote", "set-url", "origin", str(repos.folder / "gone.git"))
    ran = opened(here)
    name = ran.json["id"]
    assert (ran.code, ran.json["shared"], name.startswith("INC-001-")) == (0, False, True)
    assert "kept here only" in ran.err
    assert opened(other, title="another").json["id"] == "INC-001"
    here.git("remote", "set-url", "origin", str(project.remote.path))
    assert here.opskit("incident", "note", name, "back online").code == 0
    assert {one["id"] for one in other.opskit("incident", "list", "--json").json["incidents"]} == {name, "INC-001"}


def test_a_remote_that_hangs_is_waited_for_once(repos: Repos) -> None:
    here = repos.project().here
    here.git("remote", "set-url", "origin", "ssh://nobody@localhost/x")
    asked = repos.folder / "asked"
    ssh = here.write("../ssh.sh", f"#!/bin/sh\necho asked >> {asked}\nexec sleep 600\n")
    ssh.chmod(0o755)
    env = {"GIT_SSH": str(ssh), "GIT_SSH_VARIANT": "simple"}
    ran = here.opskit(
        *("incident", "open", "rooms", "--severity", "S0", "--json"),
        env=env,
        arm=lambda: setattr(book, "SHARE_S", 3.0),
    )
    assert (ran.code, ran.json["shared"], ran.json["id"].startswith("INC-001-")) == (0, False, True)
    assert asked.read_text() == "asked\n"


def test_without_the_right_to_push_an_incident_is_kept_here_and_that_is_said(repos: Repos) -> None:
    project = repos.project()
    hook = project.remote.write("hooks/pre-receive", "#!/bin/sh\necho 'you may only read' >&2\nexit 1\n")
    hook.chmod(0o755)
    ran = opened(project.here)
    assert (ran.code, ran.json["shared"], ran.json["id"].startswith("INC-001-")) == (0, False, True)
    assert "you may only read" in ran.err
    assert project.here.opskit("incident", "show", "1", "--json").json["id"] == ran.json["id"]


def test_a_hotfix_is_linked_however_the_incident_is_written(repos: Repos) -> None:
    here = repos.project().here
    opened(here)
    assert here.opskit("hotfix", "start", "a", "--incident", "1", "--json").json["incident"] == "INC-001"
    rows = here.opskit("incident", "show", "1", "--json").json["timeline"]
    assert [row["kind"] for row in rows] == ["detected", "incident", "hotfix_start"]
    unknown = here.opskit("hotfix", "start", "b", "--incident", "inc-9", "--json")
    assert (unknown.code, unknown.json["incident"]) == (0, "INC-009")
    assert "open are INC-001" in unknown.err


def test_secrets_in_a_note_do_not_reach_the_record(repos: Repos) -> None:
    here = repos.project().here
    opened(here)
    secret = "ghp_" + "a1" * 18
    assert here.opskit("incident", "note", "1", f"pushed with {secret}").code == 0
    assert secret not in here.git("log", "--format=%B", "refs/opskit/ledger")
