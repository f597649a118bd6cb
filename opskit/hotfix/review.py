"""The review of a hotfix: who approved which commit, how long it took, and what `finish` asks for."""

import time
from dataclasses import dataclass
from typing import Any

from opskit.desk import Desk
from opskit.errors import Bad, Refused, UsageFault
from opskit.hotfix.check import require_rows
from opskit.ledger import Event
from opskit.release.plan import Plan
from opskit.report import Step

KIND = "approval"


@dataclass(frozen=True, slots=True)
class Review:
    """A verdict on the tip of a hotfix branch; `minutes` since its last commit."""

    sha: str
    verdict: str  # approved | rejected
    reviewer: str
    minutes: float
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the verb prints it."""
        return {
            "sha": self.sha,
            "verdict": self.verdict,
            "minutes": self.minutes,
            "reviewer": self.reviewer,
            "why": self.why,
        }


def review(desk: Desk, *, branch: str, tip: str, verdict: str, reviewer: str, why: str) -> Review:
    """Note a verdict on *tip* in the ledger; raises `UsageFault` without a reviewer's name."""
    if not reviewer.strip():
        raise UsageFault("a review needs a reviewer", remedy="--reviewer NAME")
    committed_s = int(desk.git.text("log", "-1", "--format=%ct", tip))
    given = Review(tip, verdict, reviewer.strip(), round(max(0.0, time.time() - committed_s) / 60, 1), why)
    data = {"branch": branch, **given.as_json()}
    desk.ledger.append(KIND, data, subject=f"{verdict} {branch} at {tip[:12]} by {given.reviewer}")
    return given


def verdict_on(desk: Desk, tip: str) -> Event | None:
    """The newest verdict on exactly the commit *tip*, None if there is none."""
    found = [event for event in desk.ledger.read() if event.kind == KIND and event.data.get("sha") == tip]
    return found[-1] if found else None


def require(desk: Desk, plan: Plan, shown: Step) -> None:
    """What a hotfix needs before it is released: an approval of its last commit, and no failed row.

    `--override` passes failed rows, never a missing approval. Raises `Refused` without approval, `Bad` for a bad row.
    """
    if desk.remote:
        desk.ledger.sync()  # the reviewer may sit at another clone
    tip, branch = str(plan.facts["tip"]), str(plan.facts["branch"])
    event = verdict_on(desk, tip)
    if event is None:
        raise Refused(
            f"nobody has approved {branch} at {tip[:12]}, its last commit",
            remedy="opskit hotfix approve --reviewer NAME",
        )
    if event.data["verdict"] != "approved":
        raise Refused(
            f"{event.data['reviewer']} rejected {branch} at {tip[:12]}: {event.data['why'] or 'no reason given'}",
            remedy="mend it, then opskit hotfix approve --reviewer NAME",
        )
    checked = require_rows(desk, plan)
    failed = ", ".join(row.name for row in checked.failed)
    if failed and not plan.facts.get("override"):
        raise Bad(
            f"{branch} fails its check: {failed}",
            remedy='opskit hotfix check shows why; mend it, or opskit hotfix finish --override "REASON"',
        )
    shown.detail = f"approved by {event.data['reviewer']}, {checked.score:g} of 10"
    if failed:
        shown.status = "warning"
        shown.detail += f", overridden: {failed}"
