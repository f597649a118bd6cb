"""The plan of `opskit hotfix finish`, and which release a hotfix starts from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opskit.errors import Refused, UsageFault
from opskit.git import refs
from opskit.git.history import History, read_history
from opskit.git.refs import BRANCH, TAG
from opskit.git.runner import Git
from opskit.release.attribution import attribute
from opskit.release.notes import day, render, section
from opskit.release.outlook import RELEASE_BRANCH
from opskit.release.plan import Kind, Plan
from opskit.release.plan_release import Planner, back_merge, tag_message
from opskit.release.plan_world import World
from opskit.release.versions import Release, Version, parse_version, precedence, releases

HOTFIX = "hotfix/"


@dataclass(frozen=True, slots=True)
class Production:
    """The newest release on main, which a hotfix repairs."""

    release: Release
    history: History
    main: str

    @property
    def is_tip(self) -> bool:
        """True if main is exactly at the release."""
        return self.release.sha == self.main


def production(git: Git, *, main: str, prefix: str) -> Production:
    """The newest final release that the commit *main* contains; raises `Refused` if there is none."""
    history = read_history(git, refs=(main,))
    reached = history.reachable(main)
    found = [release for release in releases(history, prefix=prefix) if release.final and release.sha in reached]
    if not found:
        raise Refused("main has no release yet that could need a hotfix", remedy="opskit release")
    return Production(found[-1], history, main)


def open_hotfix(world: World, *, current: str) -> str:
    """The hotfix branch meant: the one checked out (*current*, a branch's name), else the only one.

    Raises `Refused` if there is none or it is unclear which.
    """
    found = world.branches(HOTFIX)
    if current in found:
        return current
    if not found:
        raise Refused("no hotfix is open", remedy="opskit hotfix start NAME")
    if len(found) > 1:
        raise Refused(f"several hotfixes are open: {', '.join(found)}", remedy="git checkout the one you mean")
    return found[0]


def plan_finish(planner: Planner, *, branch: str, wanted: str, facts: Mapping[str, Any]) -> Plan:
    """Merge to main, tag, merge to develop and every open release, the branch gone.

    In trunk mode main may hold unreleased work: then the hotfix is tagged where it stands, and main gets it by a merge.
    Raises `Refused`, `UsageFault`, `MergeConflict`.
    """
    config, shop, world = planner.config, planner.workshop, planner.world
    tip, main = planner.tip(branch), planner.main()
    if refs.is_ancestor(planner.git, tip, main):
        raise Refused(f"{branch} holds nothing that main does not have", remedy="commit the fix on it")
    before = production(planner.git, main=main, prefix=config.tag_prefix)
    version = _version(planner, before, wanted)
    tag = f"{config.tag_prefix}{version}"
    planner.tag_free(tag)
    beside = config.trunk and not before.is_tip
    known = releases(before.history, prefix=config.tag_prefix)
    shipped = (tip,) if beside else (tip, main)
    commits = attribute(before.history, known).unreleased(*shipped, candidates_count=False)
    notes = section(str(version), day(world.at_s), commits)
    text = render(notes)
    commit = shop.released(tip, notes, version=str(version), subject=f"chore(release): {tag}")
    merged = shop.merge(main, commit, into=config.main, what=branch, message=f"Merge branch '{branch}'")
    tagged = commit if beside else merged
    moves = {BRANCH + config.main: merged}
    others = {} if config.trunk else {config.develop: planner.develop()}
    others |= {name: planner.tip(name) for name in world.branches(RELEASE_BRANCH)}
    for other, newest in others.items():
        moves[BRANCH + other] = back_merge(planner, newest, tagged, tag=tag, into=other)
    moves[TAG + tag] = shop.tag(tag, tagged, tag_message(tag, text))
    moves[BRANCH + branch] = ""
    own = {"previous": before.release.tag, "branch": branch, "tip": tip, "main": main, **facts}
    return planner.plan(Kind.HOTFIX, moves, version=str(version), tag=tag, notes=text, gate=tagged, facts=own)


def _version(planner: Planner, before: Production, wanted: str) -> Version:
    """The version asked for, else the next free patch of what production runs."""
    prefix = planner.config.tag_prefix
    if not wanted:
        version = before.release.version.bump_patch()
        while planner.world.knows(f"{TAG}{prefix}{version}"):
            version = version.bump_patch()
        return version
    version = parse_version(wanted, prefix=prefix)
    if version.prerelease or version.build:
        raise UsageFault(f"{version} is no final version", remedy="a hotfix is released as MAJOR.MINOR.PATCH")
    if precedence(version) <= precedence(before.release.version):
        raise Refused(
            f"{version} is not greater than the release it repairs, {before.release.version}",
            remedy="choose a higher version, or leave it out",
        )
    return version
