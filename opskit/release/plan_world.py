"""The references here and on the remote at one moment, which is all that a plan is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from opskit.config import Config
from opskit.errors import Refused, UsageFault
from opskit.git import refs
from opskit.git.refs import BRANCH, TAG, Update
from opskit.git.remote import Remote
from opskit.git.runner import Git


@dataclass(frozen=True, slots=True)
class World:
    """Branches and tags by full name: `here`, and `there` on the remote (None without one), at `at_s` (Unix time)."""

    at_s: int
    here: Mapping[str, str]
    there: Mapping[str, str] | None
    remote: str = ""

    def as_json(self) -> dict[str, Any]:
        """As plain values, for the journal."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "World":
        """The world that `as_json` wrote."""
        return msgspec.convert(plain, cls)

    def knows(self, ref: str) -> bool:
        """True if *ref* exists here or there."""
        return ref in self.here or ref in (self.there or {})

    def branches(self, prefix: str) -> list[str]:
        """Names of the branches that begin with *prefix*, here or there."""
        found = {*self.here, *(self.there or {})}
        return sorted(ref.removeprefix(BRANCH) for ref in found if ref.startswith(BRANCH + prefix))

    def local(self, ref: str, new: str) -> list[Update]:
        """The move of *ref* here to *new*, none if it is there already."""
        old = self.here.get(ref, "")
        return [Update(ref, old, new)] if old != new else []

    def published(self, ref: str, new: str) -> list[Update]:
        """The move of *ref* on the remote to *new*, none without a remote or if it is there already."""
        if self.there is None:
            return []
        old = self.there.get(ref, "")
        return [Update(ref, old, new)] if old != new else []


def remote_of(git: Git, config: Config) -> str:
    """The remote's name, "" if there is none; raises `UsageFault` if another one than configured is there."""
    if not config.remote:
        return ""
    known = git.lines("remote")
    if known and config.remote not in known:
        raise UsageFault(
            f"remote: {config.remote!r} is configured, this repository has {', '.join(known)}",
            remedy='set remote in the configuration; "" works without one',
        )
    return config.remote if known else ""


def read_world(git: Git, remote: str, *, at_s: int) -> World:
    """Read the references here and on *remote* ("" = none), fetching what is missing here.

    Raises `Refused` for a shallow clone, a repository without a commit, or a remote out of reach.
    """
    there = Remote(git, remote).refs() if remote else None
    here = _read(git)
    if there is not None and _fetch_wanted(here, there, remote):
        Remote(git, remote).fetch()
        here = _read(git)
    local = {ref: oid for ref, oid in here.items() if ref.startswith((BRANCH, TAG))}
    if not any(ref.startswith(BRANCH) for ref in {**local, **(there or {})}):
        raise Refused("this repository has no commit yet: there is nothing to release", remedy="git commit")
    return World(at_s, local, there, remote)


def _read(git: Git) -> dict[str, str]:
    return {name: ref.id for name, ref in refs.read(git).items()}


def _fetch_wanted(here: Mapping[str, str], there: Mapping[str, str], remote: str) -> bool:
    for ref, oid in there.items():
        if ref.startswith(BRANCH) and here.get(f"refs/remotes/{remote}/{ref.removeprefix(BRANCH)}") != oid:
            return True
        if ref.startswith(TAG) and ref not in here:
            return True
    return False


def tip(git: Git, world: World, branch: str, *, key: str = "") -> str:
    """The newest commit of *branch*: the one here if it is ahead, the remote's if that is.

    *key* is the configuration's key that names the branch. Raises `UsageFault` if it is nowhere, `Refused` if the two
    have diverged.
    """
    ref = BRANCH + branch
    here, there = world.here.get(ref, ""), (world.there or {}).get(ref, "")
    if not here and not there:
        where = f"here or on {world.remote}" if world.remote else "here"
        hint = 'create it, or set develop = "" for releases cut from main' if key == "develop" else f"set {key}"
        raise UsageFault(f"tool.opskit.{key or 'branch'}: there is no branch {branch!r} {where}", remedy=hint)
    if not here or not there or here == there:
        return here or there
    if refs.is_ancestor(git, there, here):
        return here
    if refs.is_ancestor(git, here, there):
        return there
    raise Refused(
        f"{branch} here ({here[:12]}) and on {world.remote} ({there[:12]}) have diverged",
        remedy=f"git checkout {branch} && git pull --rebase {world.remote} {branch}",
    )
