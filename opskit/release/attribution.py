"""Which release a commit belongs to, told from the graph alone.

The rule: among the final releases that contain the commit, one that no other of them precedes in the graph, and of
several such the lowest version; if only candidates contain it, the same among those; else it is unreleased. Dates and
the order of a log say nothing: a commit merged late is older than releases that do not contain it.
"""

from collections.abc import Iterator, Mapping, Sequence

from opskit.git.history import Commit, History
from opskit.release.versions import Release


class Attribution:
    """Every commit of a history with its release.

    Two passes over the graph, one bit for each release: backwards from the tags for what contains a commit, forwards
    for which releases precede one another. The rule is worked out once for each distinct set of releases.
    """

    def __init__(self, history: History, releases: Sequence[Release]) -> None:
        """*releases* come lowest version first, as `opskit.release.versions.releases` gives them."""
        self._history = history
        self._releases = releases
        self._finals = sum(1 << at for at, release in enumerate(releases) if release.final)
        own: dict[str, int] = {}
        for at, release in enumerate(releases):
            own[release.sha] = own.get(release.sha, 0) | 1 << at
        self._containing = _contained_in(history.commits, own)
        before = _preceded_by(history.commits, own)
        self._before = [before[release.sha] for release in releases]
        self._chosen: dict[int, Release | None] = {0: None}

    def release_of(self, sha: str) -> Release | None:
        """The release the commit belongs to; None: it is unreleased."""
        containing = self._containing.get(sha, 0)
        if containing not in self._chosen:
            self._chosen[containing] = self._first(containing & self._finals or containing)
        return self._chosen[containing]

    def commits_by_release(self) -> Mapping[Release | None, Sequence[Commit]]:
        """All commits by release, a child before its parents within each; None holds the unreleased ones."""
        found: dict[Release | None, list[Commit]] = {}
        place: dict[int, list[Commit]] = {}  # by set of releases: hashing a version for each commit would be slow
        for commit in self._history.commits:
            containing = self._containing[commit.sha]
            if containing not in place:
                place[containing] = found.setdefault(self.release_of(commit.sha), [])
            place[containing].append(commit)
        return found

    def unreleased(self, *tips: str, candidates_count: bool = True) -> list[Commit]:
        """What *tips* reach and no release contains, children first; all there is without *tips*.

        Without *candidates_count* only final releases count: what the next final release will hold.
        """
        released = -1 if candidates_count else self._finals
        wanted = self._history.reachable(*tips) if tips else None
        return [
            commit
            for commit in self._history.commits
            if not self._containing[commit.sha] & released and (wanted is None or commit.sha in wanted)
        ]

    def reason(self, sha: str) -> str:
        """Why `release_of` says what it says, in a sentence."""
        release = self.release_of(sha)
        containing = self._containing.get(sha, 0)
        if release is None:
            return "no version tag contains it"
        finals = containing & self._finals
        rivals = finals or containing
        kind = "release" if finals else "candidate"
        others = [other for other in self._each(rivals) if other != release]
        level = [other for other in self._minimal(rivals) if other != release]
        if not others:
            sentence = f"{release.tag} is the only {kind} that contains it"
        elif not level:
            sentence = f"{release.tag} precedes every other {kind} that contains it ({_listed(others)})"
        else:
            sentence = (
                f"no {kind} that contains it precedes {release.tag} or {_listed(level)}, "
                f"and {release.tag} is the lowest of these"
            )
        if not finals:
            return f"no final release contains it; {sentence}"
        candidates = list(self._each(containing & ~self._finals))
        return sentence + (f"; the candidates {_listed(candidates)} roll up into it" if candidates else "")

    def _first(self, containing: int) -> Release:
        return next(self._minimal(containing))

    def _minimal(self, containing: int) -> Iterator[Release]:
        """Of a set of releases those that none of the set precedes, lowest version first."""
        rest = containing
        while rest:
            at = (rest & -rest).bit_length() - 1
            if not self._before[at] & containing:
                yield self._releases[at]
            rest &= rest - 1

    def _each(self, containing: int) -> Iterator[Release]:
        return (release for at, release in enumerate(self._releases) if containing >> at & 1)


def attribute(history: History, releases: Sequence[Release]) -> Attribution:
    """Work out the release of every commit in *history*."""
    return Attribution(history, releases)


def _contained_in(commits: Sequence[Commit], own: Mapping[str, int]) -> dict[str, int]:
    """For each commit the releases that contain it, as bits."""
    found = dict(own)
    known = found.get
    for commit in commits:
        bits = found.setdefault(commit.sha, 0)
        if bits:
            for parent in commit.parents:
                found[parent] = known(parent, 0) | bits
    return found


def _preceded_by(commits: Sequence[Commit], own: Mapping[str, int]) -> dict[str, int]:
    """For each commit the releases on its ancestors, itself left out, as bits."""
    before: dict[str, int] = {}
    upto: dict[str, int] = {}
    for commit in reversed(commits):
        bits = 0
        for parent in commit.parents:
            bits |= upto.get(parent, 0)
        before[commit.sha] = bits
        upto[commit.sha] = bits | own.get(commit.sha, 0)
    return before


def _listed(releases: Sequence[Release], *, most: int = 5) -> str:
    tags = [release.tag for release in releases[:most]]
    more = len(releases) - most
    return ", ".join(tags) + (f" and {more} more" if more > 0 else "")
