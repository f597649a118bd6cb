"""What a target's `require` asks of a commit, from tags and the ledger: each lack with the command that mends it."""

from collections.abc import Iterator, Mapping
from typing import Any

from opskit.deploy.context import Context
from opskit.deploy.source import Source
from opskit.ledger import Event, Ledger

FETCH_S = 10.0  # for a remote that does not answer: what is known here decides
Lack = tuple[str, str]  # what is missing, and what mends it


def unmet(context: Context, wanted: Source, *, fetch: bool) -> Iterator[Lack]:
    """Every requirement that the commit does not meet; with *fetch*, also by what others put into the ledger."""
    wants = context.target.require
    if fetch and {"ci", "approval"} & set(wants) and context.config.remote in context.git.lines("remote"):
        Ledger(context.git.within(FETCH_S), context.config.remote).sync()  # the reviewer may sit at another clone
    checks = {"tag": _untagged, "ci": _no_green_ci, "approval": _not_approved}
    for name in wants:
        lack = checks[name](context, wanted)
        if lack:
            yield f'target {context.name} requires "{name}": {lack[0]}', lack[1]


def _untagged(context: Context, wanted: Source) -> Lack | None:
    if wanted.tag:
        return None
    what = f"{wanted.commit[:12]} has no version tag ({context.config.tag_prefix}X.Y.Z)"
    return what, "opskit release makes one, then deploy that"


def _no_green_ci(context: Context, wanted: Source) -> Lack | None:
    if not context.config.ci.steps:
        return None
    short = wanted.commit[:12]
    verdicts = [event.data for event in _events(context, "ci") if event.data.get("tree") == wanted.tree]
    if not verdicts:
        return f"no CI verdict is known for {short}", f"opskit ci {short} makes one"
    if verdicts[-1].get("verdict") == "green":
        return None
    return f"CI was red for {short}", f"opskit ci {short} shows the step; mend it and deploy the mended commit"


def _not_approved(context: Context, wanted: Source) -> Lack | None:
    """An approval counts for its commit and for what opskit makes of it: the release commit on top and its merge."""
    reviews = _events(context, "approval")
    for commit in _reviewed(context, wanted.commit):
        found = [event.data for event in reviews if _is_of(context, event.data, commit)]
        if found and str(found[-1].get("verdict", "")).startswith("approve"):
            return None
        if found:
            why = found[-1].get("why") or "no reason given"
            return (
                f"{found[-1].get('reviewer') or 'the review'} rejected {commit[:12]}: {why}",
                f"mend that; or opskit hotfix approve --reviewer NAME --ref {commit[:12]}",
            )
    return (
        f"nobody has approved {wanted.commit[:12]}",
        f"opskit hotfix approve --reviewer NAME --ref {wanted.commit[:12]}",
    )


def _reviewed(context: Context, commit: str) -> list[str]:
    """The commits whose approval is one of *commit*: itself, what it merges, what a release commit stands on."""
    found = [commit]
    parents = context.git.text("rev-list", "--parents", "--max-count=1", commit).split()[1:]
    if len(parents) == 2:
        found.append(parents[1])
        parents = context.git.text("rev-list", "--parents", "--max-count=1", parents[1]).split()[1:]
    if len(parents) == 1 and _only_release_files(context, parents[0], found[-1]):
        found.append(parents[0])
    return found


def _only_release_files(context: Context, before: str, after: str) -> bool:
    """True if nothing but the changelog and the version files differs."""
    config = context.config
    ours = {config.changelog, *(entry.partition(":")[0] for entry in config.version_files)}
    return set(context.git.lines("diff-tree", "-r", "--name-only", "--no-commit-id", before, after)) <= ours


def _is_of(context: Context, data: Mapping[str, Any], commit: str) -> bool:
    """True if the approval is of that commit, or of another with the same tree."""
    sha = str(data.get("sha", ""))
    return sha == commit or _tree(context, sha) == _tree(context, commit) != ""


def _tree(context: Context, commit: str) -> str:
    found = context.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{tree}}", check=False)
    return found.out.decode().strip() if found.code == 0 else ""


def _events(context: Context, kind: str) -> list[Event]:
    return [event for event in Ledger(context.git).read() if event.kind == kind]
