"""Versions: which tags are releases, what is current, and what the next one is (SemVer 2.0.0)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from semver import Version

from opskit.errors import UsageFault
from opskit.git.history import Commit, History
from opskit.release.changes import surviving
from opskit.release.commits import Change

__all__ = [
    "Bump",
    "Next",
    "Release",
    "Version",
    "bumped",
    "current",
    "find_version",
    "infer_next",
    "parse_version",
    "precedence",
    "releases",
    "tag_version",
]

FIRST = Version(0, 1, 0)


class Bump(IntEnum):
    """How far a release moves the version."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3

    def __str__(self) -> str:
        return self.name.lower()


class Release(NamedTuple):
    """A version tag: final, or a candidate if the version has a pre-release part."""

    version: Version
    tag: str
    sha: str
    made_s: int

    @property
    def final(self) -> bool:
        """True unless it is a pre-release."""
        return self.version.prerelease is None


@dataclass(frozen=True, slots=True)
class Next:
    """The version a release would get; `version` is None if there is nothing to release."""

    version: Version | None
    bump: Bump
    because: tuple[str, ...]  # the commits that ask for this bump


def tag_version(tag: str, prefix: str) -> Version | None:
    """The version a tag names, or None if it is no version of this project."""
    if not tag.startswith(prefix):
        return None
    try:
        return Version.parse(tag[len(prefix) :])
    except ValueError:
        return None


def parse_version(text: str, *, prefix: str) -> Version:
    """The version a person wrote, with or without the tag prefix (or a plain `v`); raises `UsageFault`."""
    version = find_version(text, prefix=prefix)
    if version is None:
        raise UsageFault(
            f"{text!r} is no version (MAJOR.MINOR.PATCH, as SemVer 2.0.0 has it)", remedy="for example: 1.4.0"
        )
    return version


def find_version(text: str, *, prefix: str) -> Version | None:
    """As `parse_version`, None if *text* says no version."""
    found = (tag_version(text, start) for start in (prefix, "v", ""))
    return next((version for version in found if version is not None), None)


def releases(history: History, *, prefix: str) -> list[Release]:
    """All version tags of *history*, lowest version first, whether or not a branch still reaches them."""
    found = [
        Release(version, tag.name, tag.sha, tag.made_s)
        for tag in history.tags.values()
        if (version := tag_version(tag.name, prefix)) is not None
    ]
    return sorted(found, key=lambda release: (precedence(release.version), release.tag))


def precedence(version: Version) -> tuple[object, ...]:
    """A sort key in the order of SemVer 2.0.0, section 11; a tenth of the cost of comparing two `Version`s."""
    if version.prerelease is None:
        return (version.major, version.minor, version.patch, 1)
    words = version.prerelease.split(".")
    ranks = tuple((0, int(word), "") if word.isdigit() else (1, 0, word) for word in words)
    return (version.major, version.minor, version.patch, 0, ranks)


def current(known: Sequence[Release]) -> Release | None:
    """The newest final release, else the newest candidate, else None."""
    return next((release for release in reversed(known) if release.final), known[-1] if known else None)


def bumped(version: Version, bump: Bump) -> Version:
    """*version* moved by *bump*; below 1.0.0 a breaking change moves the minor, for 0.x promises nothing."""
    match bump:
        case Bump.MAJOR if version.major > 0:
            return version.bump_major()
        case Bump.MAJOR | Bump.MINOR:
            return version.bump_minor()
        case Bump.PATCH:
            return version.bump_patch()
        case Bump.NONE:
            return version


def infer_next(known: Sequence[Release], unreleased: Iterable[Commit], *, candidates: Iterable[Release] = ()) -> Next:
    """The version that releasing the commits *unreleased* (in no final release, children first) asks for.

    It is greater than every final release in *known*, reachable or not, and no less than what one of *candidates*
    (pre-releases among those commits) announces. Without any final release: 0.1.0, or what a candidate announces.
    Changes that make no line in the changelog ask for nothing.
    """
    commits = list(unreleased)
    asked = [
        (commit.sha, max(map(_asks_for, changes), default=Bump.NONE)) for commit, changes in surviving(commits).kept
    ]
    bump = max((bump for _, bump in asked), default=Bump.NONE)
    because = tuple(sha for sha, asks in asked if asks == bump and bump)
    newest = next((release.version for release in reversed(known) if release.final), None)
    announced = [release.version.finalize_version() for release in candidates]
    announced += [release.version.finalize_version() for release in known[-1:] if newest is None]
    if newest is None:
        version = max([*announced, *([] if announced else [FIRST])], key=precedence) if commits or announced else None
        return Next(version, Bump.MINOR if version == FIRST else _moved(FIRST, version), because)
    version = max([bumped(newest, bump), *announced], key=precedence)
    if precedence(version) <= precedence(newest):
        return Next(None, Bump.NONE, ())
    return Next(version, _moved(newest, version), because)


def _asks_for(change: Change) -> Bump:
    if change.breaking:
        return Bump.MAJOR
    if change.type in {"feat", "deprecate"}:  # SemVer 2.0.0, 7: deprecating moves the minor
        return Bump.MINOR
    return Bump.PATCH if change.group else Bump.NONE


def _moved(old: Version, new: Version | None) -> Bump:
    if new is None:
        return Bump.NONE
    if new.major != old.major:
        return Bump.MAJOR
    return Bump.MINOR if new.minor != old.minor else Bump.PATCH


def announced_next(known: Sequence[Release], inferred: Next, announced: Version) -> Next:
    """*inferred*, or what an open release branch has *announced* already if that is no old version."""
    newest = next((release.version for release in reversed(known) if release.final), None)
    if newest is not None and precedence(announced) <= precedence(newest):
        return inferred
    return Next(announced, _moved(newest or FIRST, announced), inferred.because)
