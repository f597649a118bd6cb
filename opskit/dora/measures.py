"""The five measures of software delivery, as DORA defines them since 2024 (dora.dev/guides/dora-metrics-four-keys)."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from opskit.dora.deployments import Deployment
from opskit.moments import in_words

ENOUGH = 5
INSUFFICIENT = "insufficient data"
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure over *n* things; its values are None below five, for so few say nothing."""

    key: str
    title: str
    definition: str
    counted: str  # what n counts
    n: int
    values: Mapping[str, float | None]
    unit: str  # s | per_week | share

    @property
    def sufficient(self) -> bool:
        """True if there is enough to tell."""
        return self.n >= ENOUGH

    @property
    def words(self) -> str:
        """The values for people."""
        if not self.sufficient:
            return INSUFFICIENT
        return ", ".join(_said(name, value, self.unit) for name, value in self.values.items() if value is not None)

    def as_json(self) -> dict[str, Any]:
        """`n`, the values with their unit in the name, and what is measured."""
        return {
            "n": self.n,
            **self.values,
            "note": "" if self.sufficient else INSUFFICIENT,
            "text": self.words,
            "definition": self.definition,
        }


def measures(found: Sequence[Deployment], *, since: datetime, now: datetime) -> list[Measure]:
    """The five measures of the deployments from *since* until *now*."""
    within = [one for one in found if since <= one.at <= now]
    recoveries_s = [one.recovery_s for one in within if one.recovery_s is not None]
    leads_s = [lead_s for one in within for lead_s in one.lead_s]
    weeks = max((now - since) / timedelta(weeks=1), 1 / 7)
    n = len(within)
    return [
        Measure(
            "change_lead_time",
            "Change lead time",
            "from the commit of a change (author date) until it first was in service on a target; "
            "merges and release commits are left out",
            "changes",
            len(leads_s),
            _if_enough(leads_s, median_s=statistics.median, p90_s=lambda values: percentile(values, 90)),
            "s",
        ),
        Measure(
            "deployment_frequency",
            "Deployment frequency",
            "deployments that put another commit into service, per week",
            "deployments",
            n,
            {"per_week": round(n / weeks, 3) if n >= ENOUGH else None},
            "per_week",
        ),
        Measure(
            "failed_deployment_recovery_time",
            "Failed deployment recovery time",
            "from a failed deployment's being in service until its rollback, or the hotfix in its place, was",
            "failed deployments",
            len(recoveries_s),
            _if_enough(recoveries_s, median_s=statistics.median, p90_s=lambda values: percentile(values, 90)),
            "s",
        ),
        Measure(
            "change_fail_rate",
            "Change fail rate",
            "the share of deployments that needed a rollback (by hand or by the bake) or a hotfix",
            "deployments",
            n,
            {"rate": _share(sum(one.failed for one in within), n)},
            "share",
        ),
        Measure(
            "deployment_rework_rate",
            "Deployment rework rate",
            "the share of deployments that nobody had planned: those that put a hotfix into service",
            "deployments",
            n,
            {"rate": _share(sum(one.rework for one in within), n)},
            "share",
        ),
    ]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least *percent* of all do not exceed (nearest rank); *values* must not be empty."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _if_enough(values: Sequence[float], **how: Any) -> dict[str, float | None]:
    return {name: round(float(work(values)), 3) if len(values) >= ENOUGH else None for name, work in how.items()}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole >= ENOUGH else None


def _said(name: str, value: float, unit: str) -> str:
    match unit:
        case "s":
            return f"{name.removesuffix('_s')} {in_words(value)}"
        case "share":
            return f"{value:.0%}"
        case _:
            return f"{value:.1f} a week" if value < 14 else f"{value / 7:.1f} a day"
