"""What was done in a period: stories and points, releases, incidents, security findings; from values alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from opskit.git.history import Commit
from opskit.incident.record import happened, incidents
from opskit.ledger import Event
from opskit.moments import told
from opskit.release.changes import surviving
from opskit.release.versions import Release

SECURITY = "security_review"
_COUNTED = ("S0", "S1", "S2")  # S3 is cosmetic, or only to be known


@dataclass(frozen=True, slots=True)
class Work:
    """A story, or several that were done together: `points` are the most that a commit of theirs names."""

    stories: tuple[str, ...]
    points: float | None
    release: str | None  # None: not released yet


@dataclass(slots=True)
class _Weakness:
    severity: str
    found: datetime
    fixed: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything of a period, ready to be shown."""

    stories: list[dict[str, Any]]
    points: float
    points_released: float
    releases: list[dict[str, Any]]
    incidents: list[dict[str, Any]]
    security: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As `opskit report --json` has it."""
        return {
            "stories": self.stories,
            "points": self.points,
            "points_released": self.points_released,
            "releases": self.releases,
            "incidents": self.incidents,
            "security": self.security,
        }


def summarise(
    by_release: Mapping[Release | None, Sequence[Commit]],
    events: Sequence[Event],
    *,
    hotfixes: Iterable[str] = (),
    since: datetime,
    now: datetime,
) -> Summary:
    """The summary from *since* until *now*; *by_release*: all commits, None those that no release holds.

    A released commit counts by when its release was made, another by when it was committed. *hotfixes* are tags.
    """
    chosen = {
        release: _within(release, commits, since=since, now=now)
        for release, commits in by_release.items()
        if release is None or since.timestamp() <= release.made_s <= now.timestamp()
    }
    done = work(chosen)
    made = sorted((release for release in chosen if release and release.final), key=lambda release: release.made_s)
    mended = set(hotfixes)
    return Summary(
        stories=_stories(done),
        points=sum(one.points or 0 for one in done),
        points_released=sum(one.points or 0 for one in done if one.release),
        releases=[
            {
                "version": str(release.version),
                "tag": release.tag,
                "at": told(datetime.fromtimestamp(release.made_s, UTC)),
                "hotfix": release.tag in mended,
            }
            for release in made
        ],
        incidents=_incidents(events, since=since, now=now),
        security={**_security(events, since=since, now=now), "fixes": _security_fixes(chosen)},
    )


def work(chosen: Mapping[Release | None, Sequence[Commit]]) -> list[Work]:
    """Stories and points by the `Refs:` and `Points:` of the commits; a change that was reverted is left out.

    Several commits of one story name its points again, or anew: the most counts, once. It is done
    in the newest release that holds one of them. Points without a story add up.
    """
    found: dict[tuple[str, ...], Work] = {}
    alone: list[Work] = []
    in_order = sorted(chosen.items(), key=lambda item: item[0].made_s if item[0] else 0)
    for release, commits in in_order:
        version = str(release.version) if release and release.final else None
        for _, changes in surviving(list(commits)).kept:
            for change in changes:
                key = tuple(sorted(change.stories))
                if key:
                    known = found.get(key, Work(key, None, None))
                    named = [points for points in (known.points, change.points) if points is not None]
                    found[key] = Work(key, max(named, default=None), version or known.release)
                elif change.points is not None:
                    alone.append(Work((), change.points, version))
    return [*found.values(), *alone]


def _stories(done: Iterable[Work]) -> list[dict[str, Any]]:
    """One row for each story, by its name; the points of stories done together stand with each and say so."""
    rows: dict[str, dict[str, Any]] = {}
    for one in done:
        for story in one.stories:
            row = rows.setdefault(story, {"id": story, "points": None, "release": None, "together": []})
            if one.points is not None:
                row["points"] = max(one.points, row["points"] or 0)
            row["release"] = one.release or row["release"]
            row["together"] = sorted({*row["together"], *one.stories} - {story})
    return [rows[name] for name in sorted(rows, key=_natural)]


def _natural(name: str) -> tuple[str, int, str]:
    head, _, tail = name.rpartition("-")
    return head, int(tail) if tail.isascii() and tail.isdigit() else 0, tail


def _incidents(events: Sequence[Event], *, since: datetime, now: datetime) -> list[dict[str, Any]]:
    """Those noticed in the period, and those still open; oldest first."""
    return [
        {
            "id": one.name,
            "title": one.title,
            "severity": one.severity.value if one.severity else None,
            "state": one.state.value,
            "detected": told(one.times.detected),
            "mitigated": told(one.times.mitigated),
            "resolved": told(one.times.resolved),
            "time_to_recovery_s": one.recovered_s(),
        }
        for one in sorted(incidents(events), key=lambda one: one.times.detected)
        if since <= one.times.detected <= now or (one.is_open and one.times.detected <= now)
    ]


def _security(events: Sequence[Event], *, since: datetime, now: datetime) -> dict[str, Any]:
    """S0 to S2 that reviews found, and those that a later review of the same service looked for and did not find."""
    every: list[tuple[tuple[str, str], _Weakness]] = []
    standing: dict[tuple[str, str], _Weakness] = {}
    for event in events:
        at = happened(event)
        if event.kind != SECURITY or at > now:
            continue
        subject = str(event.data.get("target") or event.data.get("url"))
        named = event.data.get("findings", ())
        seen = {str(row["id"]): str(row["severity"]) for row in named if row.get("severity") in _COUNTED}
        for id_, severity in seen.items():
            if (subject, id_) not in standing:
                standing[subject, id_] = _Weakness(severity, at)
                every.append(((subject, id_), standing[subject, id_]))
        for id_ in set(map(str, event.data.get("checked", ()))) - set(seen):
            if gone := standing.pop((subject, id_), None):
                gone.fixed = at
    rows = [
        {"id": id_, "service": subject, "severity": one.severity, "found": told(one.found), "fixed": told(one.fixed)}
        for (subject, id_), one in every
        if one.found >= since or one.fixed is None or one.fixed >= since
    ]
    return {
        "found": sum(one.found >= since for _, one in every),
        "fixed": sum(one.fixed is not None and one.fixed >= since for _, one in every),
        "open": len(standing),
        "findings": rows,
    }


def _security_fixes(chosen: Mapping[Release | None, Sequence[Commit]]) -> list[dict[str, Any]]:
    """Changes that commits call security fixes: `security: …`, `fix(security): …`."""
    return [
        {"text": change.text, "sha": commit.sha, "release": str(release.version) if release else None}
        for release, commits in chosen.items()
        for commit, changes in surviving(list(commits)).kept
        for change in changes
        if change.security or change.type == "security"
    ]


def _within(release: Release | None, commits: Sequence[Commit], *, since: datetime, now: datetime) -> Sequence[Commit]:
    if release is not None:
        return commits
    return [commit for commit in commits if since.timestamp() <= commit.committed_s <= now.timestamp()]
