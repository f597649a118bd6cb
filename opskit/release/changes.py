"""Which changes of a set of commits survive: a commit and its revert in one release cancel out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from opskit.git.history import Commit
from opskit.release.commits import Change, parse, same_subject

_ID_SHOWN = 7  # the fewest digits by which a message names a commit


@dataclass(frozen=True, slots=True)
class Surviving:
    """Commits with their changes, children first as they came, and the ids of those that cancelled out."""

    kept: Sequence[tuple[Commit, Sequence[Change]]]
    cancelled: frozenset[str]


def surviving(commits: Sequence[Commit]) -> Surviving:
    """Parse *commits* (a child before its parents) and take out every revert together with what it reverts.

    A revert is worked off before the older one it may itself revert, so that taking back a revert brings the
    change back. A commit is found by its id, else (it was cherry-picked or rebased) by the subject the revert quotes.
    """
    parsed = [(commit, parse(commit.message, is_merge=len(commit.parents) > 1)) for commit in commits]
    reverting = [at for at, (_, changes) in enumerate(parsed) if any(c.reverts or c.reverts_subject for c in changes)]
    if not reverting:
        return Surviving(parsed, frozenset())
    quoted = {same_subject(change.reverts_subject) for at in reverting for change in parsed[at][1]}
    index = _Index(commits, quoted - {""})
    cancelled: set[str] = set()
    for at in reverting:
        commit, changes = parsed[at]
        if commit.sha in cancelled:
            continue
        left = []
        for change in changes:
            taken_back, settled = index.taken_back(change, after=at, gone=cancelled)
            cancelled |= taken_back
            if not settled:
                left.append(change)
        parsed[at] = (commit, left)
        if not left:
            cancelled.add(commit.sha)
    return Surviving([pair for pair in parsed if pair[0].sha not in cancelled], frozenset(cancelled))


class _Index:
    """Finds commits of one release by what a revert says of them."""

    def __init__(self, commits: Sequence[Commit], quoted: Collection[str]) -> None:
        """*quoted* are the subjects that will be asked for."""
        self._commits = commits
        self._place = {commit.sha: at for at, commit in enumerate(commits)}
        self._by_start: dict[str, list[str]] = {}
        self._by_subject: dict[str, list[int]] = {}
        starts = tuple({subject.partition(" ")[0] for subject in quoted})  # sparing most subjects the cleaning
        for at, commit in enumerate(commits):
            self._by_start.setdefault(commit.sha[:_ID_SHOWN], []).append(commit.sha)
            if commit.message.startswith(starts):
                self._by_subject.setdefault(same_subject(commit.subject), []).append(at)

    def taken_back(self, change: Change, *, after: int, gone: set[str]) -> tuple[set[str], bool]:
        """The commits that *change* of the commit at place *after* takes back, and whether it does nothing else."""
        found: set[str] = set()
        missing = not change.reverts
        for start in change.reverts:
            sha = self._sha(start)
            if sha is None or sha in gone or self._place[sha] <= after:
                missing = True
            else:
                found |= self._brought(sha, back_to=change.reverts_back_to)
        if found or not change.reverts_subject:
            return found, not missing
        quoted = self._by_subject.get(same_subject(change.reverts_subject), ())
        sha = next((self._commits[at].sha for at in quoted if at > after and self._commits[at].sha not in gone), None)
        return (self._brought(sha, back_to=""), True) if sha else (set(), False)

    def _sha(self, start: str) -> str | None:
        if start in self._place:
            return start
        found = [sha for sha in self._by_start.get(start[:_ID_SHOWN], ()) if sha.startswith(start)]
        return found[0] if len(found) == 1 else None

    def _brought(self, sha: str, *, back_to: str) -> set[str]:
        """*sha*, and if it is a merge all that it brought onto the parent whose state a revert restores."""
        parents = self._commits[self._place[sha]].parents
        if len(parents) < 2:
            return {sha}
        kept = next((parent for parent in parents if back_to and parent.startswith(back_to)), parents[0])
        return self._between(kept, sha)

    def _between(self, older: str, newer: str) -> set[str]:
        """What *newer* reaches and *older* does not; no more of the graph is walked than lies between the two."""
        brought: set[str] = set()
        wanted = {self._place[newer]: True}  # place -> whether only *newer* reaches it
        wanted.setdefault(self._place.get(older, -1), False)
        wanted.pop(-1, None)
        ahead = list(wanted)
        heapify(ahead)
        open_ends = 1
        while open_ends:
            at = heappop(ahead)
            commit, counts = self._commits[at], wanted[at]
            if counts:
                open_ends -= 1
                brought.add(commit.sha)
            for parent in commit.parents:
                place = self._place.get(parent)
                if place is None:
                    continue
                if place not in wanted:
                    wanted[place] = counts
                    heappush(ahead, place)
                    open_ends += counts
                elif wanted[place] and not counts:
                    wanted[place] = False
                    open_ends -= 1
        return brought
