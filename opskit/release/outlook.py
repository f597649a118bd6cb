"""What is released, what is not yet, and what the next release would be: facts for verbs and plans."""

from dataclasses import dataclass

from opskit.config import Config
from opskit.errors import Refused
from opskit.git.history import Commit, History, read_history
from opskit.git.runner import Git
from opskit.release.attribution import Attribution, attribute
from opskit.release.versions import Next, Release, Version, announced_next, current, find_version, infer_next, releases

RELEASE_BRANCH = "release/"


@dataclass(frozen=True, slots=True)
class Outlook:
    """A history read as releases."""

    history: History
    releases: list[Release]  # lowest version first, reachable or not
    attribution: Attribution
    tips: tuple[str, ...]  # what the next release is made of
    preparing: Version | None  # the version of the open release branch

    @property
    def current(self) -> Release | None:
        """The newest final release, else the newest candidate."""
        return current(self.releases)

    @property
    def unreleased(self) -> list[Commit]:
        """The commits no version tag contains, children first."""
        return self.attribution.unreleased(*self.tips) if self.tips else []

    @property
    def next(self) -> Next:
        """The version that releasing now would give."""
        if not self.tips:
            return infer_next(self.releases, [])
        pending = self.attribution.unreleased(*self.tips, candidates_count=False)
        ids = {commit.sha for commit in pending}
        candidates = [release for release in self.releases if not release.final and release.sha in ids]
        inferred = infer_next(self.releases, pending, candidates=candidates)
        return announced_next(self.releases, inferred, self.preparing) if self.preparing else inferred


def look(history: History, config: Config) -> Outlook:
    """Read *history* as *config* names its branches.

    The next release is made of develop (in trunk mode main), of main and of open release branches, here and on the
    remote; where there is none of them, of what is checked out.
    """
    known = releases(history, prefix=config.tag_prefix)
    branches = {name: {tip} for name, tip in history.heads.items()}
    for name, tip in history.remotes.items():
        remote, _, short = name.partition("/")
        if remote == config.remote:
            branches.setdefault(short, set()).add(tip)
    preparing = {
        name: version
        for name in branches
        if name.startswith(RELEASE_BRANCH)
        and (version := find_version(name.removeprefix(RELEASE_BRANCH), prefix=config.tag_prefix)) is not None
    }
    wanted = [name for name in (config.develop, config.main, *preparing) if name in branches]
    tips = {tip for name in wanted for tip in branches[name]} or ({history.head} if history.head else set())
    return Outlook(
        history,
        known,
        attribute(history, known),
        tuple(sorted(tips)),
        min(preparing.values(), default=None),
    )


def read_outlook(git: Git, config: Config) -> Outlook:
    """Read the repository and look at it. Raises `Refused` if it has no commits or is shallow."""
    history = read_history(git)
    if not history.commits:
        raise Refused(f"{git.directory} has no commits yet", remedy="git commit, then try again")
    return look(history, config)
