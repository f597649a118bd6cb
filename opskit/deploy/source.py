"""What is to be deployed: which commit a ref names, its version, and its tree as a tar file."""

from dataclasses import dataclass
from pathlib import Path

import semver

from opskit.config import Config
from opskit.deploy.releases import release_name
from opskit.errors import Refused, UsageFault
from opskit.git.runner import Git


@dataclass(frozen=True, slots=True)
class Source:
    """A commit to deploy. `tag` is its final or pre-release version tag, "" if it has none."""

    ref: str
    commit: str
    tree: str
    version: str
    tag: str

    @property
    def release(self) -> str:
        """The name of its release directory."""
        return release_name(self.version, self.commit)


def resolve(git: Git, config: Config, ref: str) -> Source:
    """The commit that *ref* names; "" is the newest release on main. A version works with and without the prefix.

    Raises `UsageFault` if there is no such commit, `Refused` if main has no release yet.
    """
    ref = ref or newest_release(git, config)
    commit = _commit(git, ref) or _commit(git, f"{config.tag_prefix}{ref}")
    if not commit:
        if not _commit(git, "HEAD"):
            raise UsageFault("this repository has no commit yet", remedy="commit something, then deploy it")
        raise UsageFault(
            f"{ref!r} names no commit of this repository", remedy="name a branch, a tag or a commit id; see git log"
        )
    tag = _version_tag(git, config, commit)
    version = tag.removeprefix(config.tag_prefix) if tag else describe(git, config, commit)
    return Source(ref, commit, git.text("rev-parse", f"{commit}^{{tree}}"), version, tag)


def newest_release(git: Git, config: Config) -> str:
    """The tag of the highest final version that main contains; raises `Refused` if there is none.

    By its full name, as a tag may be called the same; and as last fetched, as the one here may be behind or absent.
    """
    names = (f"refs/heads/{config.main}", f"refs/remotes/{config.remote}/{config.main}")
    mains = [name for name in names if _commit(git, name)]
    if not mains:
        raise UsageFault(
            f"main: there is no branch {config.main!r} here", remedy="set main in the configuration, or name a ref"
        )
    tags = {tag for name in mains for tag in git.lines("tag", "--merged", name, "--list", f"{config.tag_prefix}*")}
    finals = {tag: version for tag in tags if (version := _semver(tag, config)) and not version.prerelease}
    if not finals:
        raise Refused(
            f"there is no release on {config.main} yet",
            remedy="make one: opskit release; or name a ref: opskit deploy HEAD",
        )
    return max(finals, key=lambda tag: finals[tag])


def describe(git: Git, config: Config, commit: str) -> str:
    """The version of an untagged commit, `git describe` without the prefix; before any tag `0.0.0-N-gSHA`."""
    said = git.run("describe", "--tags", "--long", "--match", f"{config.tag_prefix}[0-9]*", commit, check=False)
    if said.code == 0:
        return said.out.decode().strip().removeprefix(config.tag_prefix)
    short = git.text("rev-parse", "--short", commit)
    return f"0.0.0-{git.text('rev-list', '--count', commit)}-g{short}"


def head(git: Git) -> str:
    """The commit that is checked out, "" if there is none."""
    return _commit(git, "HEAD")


def dirty_files(git: Git) -> int:
    """How many files of the work tree differ from its commit, untracked ones included."""
    return len(git.lines("status", "--porcelain"))


def tree_bytes(git: Git, commit: str) -> int:
    """How large the commit's files are together."""
    sizes = (line.split("\t", 1)[0].split()[3] for line in git.lines("ls-tree", "-r", "-l", "--full-tree", commit))
    return sum(int(size) for size in sizes if size != "-")


def write_archive(git: Git, commit: str, to: Path) -> None:
    """Write the tree of *commit* as a tar file."""
    git.run("archive", "--format=tar", f"--output={to}", commit)


def _commit(git: Git, ref: str) -> str:
    found = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", check=False)
    return found.out.decode().strip() if found.code == 0 else ""


def _version_tag(git: Git, config: Config, commit: str) -> str:
    tags = git.lines("tag", "--points-at", commit, "--list", f"{config.tag_prefix}*")
    versions = {tag: version for tag in tags if (version := _semver(tag, config))}
    return max(versions, key=lambda tag: versions[tag], default="")


def _semver(tag: str, config: Config) -> semver.Version | None:
    text = tag.removeprefix(config.tag_prefix)
    return semver.Version.parse(text) if semver.Version.is_valid(text) else None
