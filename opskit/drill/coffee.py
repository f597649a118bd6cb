"""The drill `coffee`: a room called cafe-☕ crashes the release in service; it is repaired by a hotfix."""

from opskit.drill import checks
from opskit.drill.runner import Scenario, Step, Unmet
from opskit.drill.sandbox import Sandbox
from opskit.incident.actions import actions

BRANCH = "hotfix/cafe-unicode"


def _begun(place: Sandbox) -> str:
    here, base = place.git.text("rev-parse", "--abbrev-ref", "HEAD"), place.git.text("merge-base", "HEAD", "develop")
    if here != BRANCH or base != place.git.text("rev-parse", "main"):
        raise Unmet(f"{BRANCH}, begun at main", f"{here}, begun at {base[:12]}")
    return f"{BRANCH} begins at v1.0.0, without what waits on develop"


def _changes(path: str, place: Sandbox) -> str:
    changed = place.git.lines("diff", "--name-only", "v1.0.0", "HEAD")
    if path not in changed:
        raise Unmet(f"a commit that changes {path}", ", ".join(changed))
    return f"{place.git.text('log', '-1', '--format=%h %s')}"


def _checked(place: Sandbox) -> str:
    """All four rows of the newest check passed."""
    checked = [event.data["rows"] for event in place.events if event.kind == "hotfix_check"]
    passed = [row["name"] for row in checked[-1] if row["ok"]] if checked else []
    if len(passed) != 4:
        raise Unmet("four rows passed", ", ".join(passed))
    return ", ".join(passed)


def _approved(place: Sandbox) -> str:
    tip = place.git.text("rev-parse", BRANCH)
    for event in place.events:
        if event.kind == "approval" and (event.data["sha"], event.data["verdict"]) == (tip, "approved"):
            return f"{event.data['reviewer']} approved {tip[:12]}"
    raise Unmet(f"an approval of {tip[:12]}", "none")


def _finished(place: Sandbox) -> str:
    told = checks.released("v1.0.1")(place)
    if BRANCH in place.remote.lines("for-each-ref", "refs/heads", "--format=%(refname:short)"):
        raise Unmet(f"{BRANCH} deleted", "it still exists")
    return f"{told}; {BRANCH} is gone"


def _action(place: Sandbox, state: str) -> str:
    found = [f"{one.name} {one.state}" for one in actions(place.events)]
    if f"ACT-001 {state}" not in found:
        raise Unmet(f"ACT-001 {state}", ", ".join(found))
    return f"ACT-001 is {state}"


STEPS = (
    Step(
        goal="release v1.0.0: changelog, CI, merge to main, tag, back-merge",
        command="opskit release 1.0.0 --yes",
        check=checks.released("v1.0.0"),
    ),
    Step(
        goal="deploy it: health and the smoke check before users come",
        command="opskit deploy --yes",
        check=checks.serves("1.0.0"),
    ),
    Step(goal="users talk in general", command="visit general", others=True),
    Step(
        goal="develop goes on with work that is not released",
        command="git commit -q --allow-empty -m 'feat(presence): show who is online (US-005)' && git push -q",
        others=True,
    ),
    Step(
        goal="a user makes the room cafe-☕: each message to it crashes the server",
        command="visit cafe-☕ cafe-☕ cafe-☕",
        code=1,
        check=checks.crashed(3),
        others=True,
    ),
    Step(
        goal="see what is wrong: health, crash rate, error rate, smoke",
        command="opskit watch --once",
        code=1,
        check=checks.crashed(3),
    ),
    Step(
        goal="open an incident of the highest severity",
        command="opskit incident open 'Messages to cafe-☕ crash the server' --severity S0 "
        "--impact 'everybody is cut off at each message to that room'",
        check=checks.opened,
    ),
    Step(
        goal="assess it: hotfix, rollback, or can it wait?",
        command="opskit incident assess INC-001",
        check=checks.decided("hotfix"),
    ),
    Step(
        goal="begin the hotfix from what production runs, linked to the incident",
        command="opskit hotfix start cafe-unicode --incident INC-001 --yes",
        check=_begun,
    ),
    Step(
        goal="commit a test that shows the fault; the smoke check goes to that room from now on",
        command="git am ../patches/coffee-test.patch",
        check=lambda place: _changes("tests/test_unicode_rooms.py", place),
    ),
    Step(
        goal="see it fail",
        command="python -m pytest -q --tb=line tests/test_unicode_rooms.py",
        code=1,
    ),
    Step(
        goal="commit the smallest change that mends it",
        command="git am ../patches/coffee-fix.patch",
        check=lambda place: _changes("chat/storage/routes.py", place),
    ),
    Step(
        goal="check the hotfix: fixes the issue, minimal, no regressions, test adequate",
        command="opskit hotfix check",
        check=_checked,
    ),
    Step(
        goal="have it reviewed: fast, never skipped",
        command="opskit hotfix approve --reviewer Grace --yes",
        check=_approved,
    ),
    Step(
        goal="finish it: v1.0.1 on main and develop, the branch deleted",
        command="opskit hotfix finish --yes",
        check=_finished,
    ),
    Step(goal="deploy v1.0.1", command="opskit deploy --yes", check=checks.serves("1.0.1")),
    Step(goal="users talk in cafe-☕", command="visit general cafe-☕", others=True),
    Step(goal="the whole smoke suite, rooms in every script included", command="opskit smoke --target drill"),
    Step(
        goal="resolve the incident",
        command="opskit incident resolve INC-001 --note 'v1.0.1 is in service'",
        check=checks.in_state("resolved"),
    ),
    Step(
        goal="add what is to be done so that it does not happen again, with the command that proves it",
        command="opskit actions add 'Encoding tests for all input of users' --incident INC-001 --type prevent "
        "--owner Ada --due '14 days' --verify 'python -m pytest -q tests/test_unicode_rooms.py'",
        check=lambda place: _action(place, "open"),
    ),
    Step(
        goal="prove it done",
        command="opskit actions verify ACT-001 --yes",
        check=lambda place: _action(place, "verified"),
    ),
    Step(
        goal="write the post-mortem",
        command="opskit postmortem INC-001 --write",
        check=checks.post_mortem("v1.0.1", "ACT-001", "Root cause"),
    ),
    Step(
        goal="report: the five DORA measures, releases, incidents and their time to recovery",
        command="opskit report --html report.html",
        check=checks.reported,
    ),
)


SCENARIO = Scenario(
    name="coffee",
    title="an S0 in the code: the room cafe-☕ crashes v1.0.0; incident, hotfix, post-mortem",
    steps=STEPS,
    before=("coffee-fault",),
)
