"""The drill `bad-deploy`: a release answers 500 once users come; it is rolled back."""

from opskit.deploy.checks import get
from opskit.drill import checks
from opskit.drill.runner import Scenario, Step, Unmet
from opskit.drill.sandbox import Sandbox
from opskit.watch.rates import tally


def _rolled_back(place: Sandbox) -> str:
    told = checks.serves("1.0.0")(place)
    parked = place.control.status().parked
    if parked is None or not parked.bad:
        raise Unmet("1.1.0 parked, with the reason it was left for", parked.release.version if parked else "nothing")
    return f"{told}; 1.1.0 was left because of: {parked.bad}"


def _fails(place: Sandbox) -> str:
    _, metrics = get(place.url, "/metrics", limit_bytes=1 << 20)
    counted = tally(str(metrics))
    if counted is None or not counted.spike:
        raise Unmet("answers 5xx, three and 5 % at least", counted)
    return f"{counted.failed} of {counted.requests} answers were 5xx"


STEPS = (
    Step(goal="release v1.0.0", command="opskit release 1.0.0 --yes", check=checks.released("v1.0.0")),
    Step(goal="deploy it", command="opskit deploy --yes", check=checks.serves("1.0.0")),
    Step(
        goal="the sprint goes on",
        command="git am -q ../patches/bad-deploy-fault.patch && git push -q",
        others=True,
    ),
    Step(goal="release v1.1.0", command="opskit release 1.1.0 --yes", check=checks.released("v1.1.0")),
    Step(
        goal="deploy it: the smoke check is green, for it only goes to a room that is there already",
        command="opskit deploy --yes",
        check=checks.serves("1.1.0"),
    ),
    Step(
        goal="users make rooms; after the third, POST /rooms answers 500",
        command="visit lunch travel music books films games",
        code=1,
        check=_fails,
        others=True,
    ),
    Step(
        goal="see what is wrong: health, crash rate, error rate, smoke",
        command="opskit watch --once",
        code=1,
        check=_fails,
    ),
    Step(
        goal="open an incident of the highest severity",
        command="opskit incident open '500s on POST /rooms' --severity S0 --impact 'nobody can make a room'",
        check=checks.opened,
    ),
    Step(
        goal="assess it: is the deploy at fault?",
        command="opskit incident assess INC-001",
        check=checks.decided("rollback"),
    ),
    Step(
        goal="go back to v1.0.0 with a reason",
        command="opskit rollback --reason '500s on POST /rooms' --yes",
        check=_rolled_back,
    ),
    Step(goal="users make rooms again, and talk in them", command="visit general books films games", others=True),
    Step(
        goal="note that users are no longer hurt",
        command="opskit incident mitigate INC-001 --note 'rolled back to 1.0.0'",
        check=checks.in_state("mitigated"),
    ),
    Step(goal="see that all is well", command="opskit watch --once"),
    Step(
        goal="resolve the incident",
        command="opskit incident resolve INC-001",
        check=checks.in_state("resolved"),
    ),
    Step(
        goal="write the post-mortem",
        command="opskit postmortem INC-001 --write",
        check=checks.post_mortem("rollback"),
    ),
    Step(
        goal="report: the five DORA measures, releases, incidents and their time to recovery",
        command="opskit report --html report.html",
        check=checks.reported,
    ),
)

SCENARIO = Scenario(
    name="bad-deploy",
    title="an S0 by a deploy: v1.1.0 answers 500 once users come; incident, rollback, post-mortem",
    steps=STEPS,
)
