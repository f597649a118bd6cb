"""The plans of `opskit release`: the release itself, `--prepare`, and candidates (`--pre`)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opskit.config import Config
from opskit.errors import Refused, UsageFault
from opskit.git.history import Commit, read_history
from opskit.git.refs import BRANCH, TAG
from opskit.git.runner import Git
from opskit.release.attribution import attribute
from opskit.release.notes import Section, day, render, section
from opskit.release.outlook import RELEASE_BRANCH
from opskit.release.plan import Kind, Plan
from opskit.release.plan_objects import Workshop
from opskit.release.plan_world import World, tip
from opskit.release.versions import (
    Release,
    Version,
    find_version,
    infer_next,
    parse_version,
    precedence,
    releases,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """What every plan of a release needs: the references, the configuration, and who makes the objects."""

    git: Git
    config: Config
    world: World
    workshop: Workshop

    def tip(self, branch: str, key: str = "") -> str:
        """The newest commit of a branch, here or on the remote; raises `UsageFault`, `Refused`."""
        return tip(self.git, self.world, branch, key=key)

    def main(self) -> str:
        """The newest commit of main."""
        return self.tip(self.config.main, "main")

    def develop(self) -> str:
        """The newest commit of develop; of main in trunk mode."""
        return self.tip(self.config.develop, "develop") if self.config.develop else self.main()

    def tag_free(self, tag: str) -> None:
        """Raises `Refused` if the tag is taken, here or on the remote."""
        if self.world.knows(TAG + tag):
            raise Refused(f"the tag {tag} exists already", remedy="choose another version, or leave it out")

    @property
    def homes(self) -> tuple[str, ...]:
        """The branches a work tree goes to when its own is deleted."""
        return tuple(dict.fromkeys(filter(None, (self.config.develop, self.config.main))))

    def plan(
        self,
        kind: Kind,
        moves: Mapping[str, str],
        *,
        version: str,
        tag: str = "",
        notes: str = "",
        gate: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> Plan:
        """A plan that moves *moves* (reference → new id, "" deletes) here and on the remote."""
        return Plan(
            kind=kind,
            version=version,
            tag=tag,
            notes=notes,
            gate=gate,
            local=tuple(
                move for ref, new in moves.items() if self._wanted_here(ref) for move in self.world.local(ref, new)
            ),
            remote=tuple(move for ref, new in moves.items() for move in self.world.published(ref, new)),
            homes=self.homes,
            facts=facts or {},
        )

    def _wanted_here(self, ref: str) -> bool:
        """A branch that is only on the remote stays there, but for the two that a release is about."""
        only_there = ref not in self.world.here and ref in (self.world.there or {})
        return not only_there or ref.removeprefix(BRANCH) in self.homes


@dataclass(frozen=True, slots=True)
class Upcoming:
    """What would be released from a commit: its version, its commits, the release before it."""

    version: Version
    commits: Sequence[Commit]
    own: Sequence[Commit]  # without those that only main holds
    previous: Release | None
    known: Sequence[Release]


def upcoming(planner: Planner, source: str, wanted: str) -> Upcoming:
    """What releasing commit *source* means; *wanted* is the version asked for, "" infers it.

    What only main holds yet is merged into the release, so it belongs to it as well. Raises `Refused` if there is
    nothing to release or the version is not greater than every release.
    """
    prefix = planner.config.tag_prefix
    shipped = (source, planner.main())
    history = read_history(planner.git, refs=shipped)
    known = releases(history, prefix=prefix)
    commits = attribute(history, known).unreleased(*shipped, candidates_count=False)
    previous = next((release for release in reversed(known) if release.final), None)
    shas = {commit.sha for commit in commits}
    candidates = [release for release in known if release.sha in shas]
    inferred = infer_next(known, commits, candidates=candidates)
    if not commits or (not wanted and inferred.version is None):
        since = f" since {previous.tag}" if previous else ""
        only = f": no commit of {len(commits)} changes what users notice" if commits else ""
        raise Refused(
            f"there is nothing to release{since}{only}",
            remedy="name a version to release anyway: opskit release V" if commits else "commit something first",
        )
    version = parse_version(wanted, prefix=prefix) if wanted else inferred.version
    if version is None:
        raise Refused("there is nothing to release")
    if version.prerelease or version.build:
        raise UsageFault(f"{version} is no final version", remedy="for a candidate: opskit release --pre rc")
    if previous and precedence(version) <= precedence(previous.version):
        if version == previous.version:
            planner.tag_free(f"{prefix}{version}")
        raise Refused(
            f"{version} is not greater than the newest release {previous.version}", remedy="choose a higher version"
        )
    planner.tag_free(f"{prefix}{version}")
    reached = history.reachable(source)
    own = [commit for commit in commits if commit.sha in reached]
    return Upcoming(version, commits, own, previous, known)


def open_release(planner: Planner, wanted: str) -> str:
    """The branch `release/…` to go on with, "" if none is open; raises `Refused` if it is unclear which.

    A branch whose name says no version goes on under the version asked for.
    """
    prefix = planner.config.tag_prefix
    found = planner.world.branches(RELEASE_BRANCH)
    if not found:
        return ""
    said = {name: find_version(name.removeprefix(RELEASE_BRANCH), prefix=prefix) for name in found}
    if wanted:
        version = parse_version(wanted, prefix=prefix)
        fits = [name for name in found if said[name] == version] or [name for name in found if said[name] is None]
        if len(fits) != 1:
            raise Refused(f"{', '.join(found)} is open", remedy="release that, or delete it: opskit release")
        return fits[0]
    if len(found) > 1:
        raise Refused(f"several releases are open: {', '.join(found)}", remedy="say which: opskit release V")
    if said[found[0]] is None:
        raise Refused(f"{found[0]} is open, and its name is no version", remedy="say which: opskit release V")
    return found[0]


def plan_release(planner: Planner, *, wanted: str = "") -> Plan:
    """The whole release: commit, merge to main, tag, back-merge to develop, the release branch gone.

    Raises `Refused`, `UsageFault`, `MergeConflict`.
    """
    config, shop = planner.config, planner.workshop
    branch = "" if config.trunk else open_release(planner, wanted)
    source = planner.tip(branch) if branch else planner.develop()
    coming = upcoming(planner, source, wanted or branch.removeprefix(RELEASE_BRANCH))
    version = str(coming.version)
    tag = f"{config.tag_prefix}{version}"
    notes = section(version, day(planner.world.at_s), coming.commits)
    text = render(notes)
    facts = {"previous": coming.previous.tag if coming.previous else "", "commits": len(coming.commits)}
    commit = shop.released(source, notes, version=version, subject=f"chore(release): {tag}")
    if config.trunk:
        tagged = commit
    else:
        name = branch or f"{RELEASE_BRANCH}{tag}"
        main = planner.main()
        tagged = shop.merge(main, commit, into=config.main, what=name, message=f"Merge branch '{name}'")
    tag_id = shop.tag(tag, tagged, tag_message(tag, text))
    moves = {BRANCH + config.main: tagged}
    if not config.trunk:
        moves[BRANCH + config.develop] = back_merge(planner, planner.develop(), tagged, tag=tag, into=config.develop)
    moves[TAG + tag] = tag_id
    if branch:
        moves[BRANCH + branch] = ""
    return planner.plan(Kind.RELEASE, moves, version=version, tag=tag, notes=text, gate=tagged, facts=facts)


def back_merge(planner: Planner, ours: str, tagged: str, *, tag: str, into: str) -> str:
    """The released commit merged into another branch."""
    message = f"Merge tag '{tag}' into {into}"
    return planner.workshop.merge(ours, tagged, into=into, what=tag, message=message)


def plan_prepare(planner: Planner, *, wanted: str = "") -> Plan:
    """A branch `release/vV` from develop, for stabilising; raises `Refused` if one is open."""
    config = planner.config
    if config.trunk:
        raise UsageFault("in trunk mode there is no release branch to prepare", remedy="opskit release")
    opened = planner.world.branches(RELEASE_BRANCH)
    if opened:
        raise Refused(f"{', '.join(opened)} is open already", remedy="finish it first: opskit release")
    source = planner.develop()
    coming = upcoming(planner, source, wanted)
    name = f"{RELEASE_BRANCH}{config.tag_prefix}{coming.version}"
    notes = render(section(str(coming.version), None, coming.commits))
    return planner.plan(
        Kind.PREPARE, {BRANCH + name: source}, version=str(coming.version), notes=notes, facts={"branch": name}
    )


def plan_candidate(planner: Planner, *, label: str, wanted: str = "") -> Plan:
    """A candidate `vV-rc.N` on the release branch, which is made if none is open; main and develop stay.

    In trunk mode the tag stands beside main.
    """
    if not re.fullmatch(r"[A-Za-z-][0-9A-Za-z-]*", label):
        raise UsageFault(f"--pre {label!r} is no word for a candidate", remedy="for example: --pre rc")
    config = planner.config
    branch = "" if config.trunk else open_release(planner, wanted)
    source = planner.tip(branch) if branch else planner.develop()
    coming = upcoming(planner, source, wanted or branch.removeprefix(RELEASE_BRANCH))
    number = 1 + max((_number(release.version, coming.version, label) for release in coming.known), default=0)
    version = f"{coming.version}-{label}.{number}"
    tag = f"{config.tag_prefix}{version}"
    if any(release.sha == source and release.version.prerelease for release in coming.known):
        raise Refused(f"nothing has changed since the last candidate of {coming.version}", remedy="commit something")
    planner.tag_free(tag)
    notes: Section = section(version, day(planner.world.at_s), coming.own)
    text = render(notes)
    commit = planner.workshop.released(source, None, version=version, subject=f"chore(release): {tag}")
    name = branch or f"{RELEASE_BRANCH}{config.tag_prefix}{coming.version}"
    moves = {} if config.trunk else {BRANCH + name: commit}
    moves[TAG + tag] = planner.workshop.tag(tag, commit, tag_message(tag, text))
    return planner.plan(Kind.CANDIDATE, moves, version=version, tag=tag, notes=text, gate=commit)


def tag_message(tag: str, notes: str) -> str:
    """The message of a tag: its name and the notes, whose `#` headings git does not take for comments here."""
    return f"{tag}\n\n{notes}"


def _number(version: Version, wanted: Version, label: str) -> int:
    """N of a candidate `wanted-label.N`, 0 for any other version."""
    found = re.fullmatch(re.escape(label) + r"\.(\d+)", version.prerelease or "")
    return int(found[1]) if found and version.finalize_version() == wanted else 0
