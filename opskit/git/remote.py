"""A remote repository: what it has, and one push that moves several references or none."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from opskit.errors import OpskitError, Refused
from opskit.git.refs import BRANCH, TAG, Update
from opskit.git.runner import Git, Output


class PushRefused(Refused):
    """The remote refused, or someone moved a reference; nothing of the push was taken."""


class PushUnknown(OpskitError):
    """The connection broke before the remote answered; it may have taken the push."""


@dataclass(frozen=True, slots=True)
class Remote:
    """The remote called *name*, as *git* is configured for it."""

    git: Git
    name: str

    def refs(self) -> dict[str, str]:
        """Branches and tags there, by full name; raises `Refused` if it cannot be reached."""
        output = self.git.run("ls-remote", "--refs", "--", self.name, f"{BRANCH}*", f"{TAG}*", check=False)
        if output.code:
            raise Refused(
                f"the remote {self.name} cannot be read: {output.reason}",
                remedy=f'see git remote -v and your network; to work without it set remote = "" ({self.name!r} now)',
            )
        pairs = (line.split("\t") for line in os.fsdecode(output.out).splitlines())
        return {ref: oid for oid, ref in pairs}

    def fetch(self) -> None:
        """Bring its branches to `refs/remotes/` and its new tags to `refs/tags/`; a tag that differs stays ours."""
        options = (
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-prune",
            "--no-tags",
            "--quiet",
            "--refmap=",
        )
        branches, tags = f"+{BRANCH}*:refs/remotes/{self.name}/*", f"{TAG}*:{TAG}*"
        output = self.git.run("fetch", *options, "--", self.name, branches, check=False)
        if output.code:
            raise Refused(f"the remote {self.name} cannot be fetched: {output.reason}", remedy="see git fetch")
        self.git.run(
            "fetch", *options, "--", self.name, tags, check=False
        )  # fails for a tag that differs, takes the rest

    def push(self, updates: Sequence[Update], *, hold: tuple[int, ...] = ()) -> None:
        """Move all of *updates* there, each leased on its old value, or none.

        Raises `PushRefused` with the remote's own reason, `PushUnknown` if its answer was lost.
        """
        leases = [f"--force-with-lease={one.ref}:{one.old}" for one in updates]
        specs = [f"{one.new}:{one.ref}" for one in updates]
        options = ("--atomic", "--porcelain", "--no-follow-tags", "--recurse-submodules=no")
        output = self.git.run("push", *options, *leases, "--", self.name, *specs, check=False, hold=hold)
        answers = _answers(output)
        already = [one.ref for one in updates if answers.get(one.ref, ("", ""))[0] == "="]
        if output.code == 0 and not already:
            return
        if already:
            raise PushRefused(f"somebody else already moved {', '.join(already)} on {self.name}", remedy=_AGAIN)
        refusals = [said for flag, said in answers.values() if flag == "!"]
        if not refusals or any(said.startswith(_NO_REPORT) for said in refusals):
            said = " ".join(output.err.decode("utf-8", "replace").split())  # a pre-push hook's own words among it
            raise PushUnknown(f"the push to {self.name} broke off: {said}")
        raise PushRefused(_refusal(self.name, answers, output), remedy=_AGAIN)


_AGAIN = "nothing was published; look at what changed there, then run it again"
_NO_REPORT = "[remote failure]"  # of a reference that the remote took or not, git-push(1): it did not report
_FOLLOWED = ("atomic push failed", "atomic transaction failed", "atomic push failure", "transaction aborted")


def _answers(output: Output) -> dict[str, tuple[str, str]]:
    """What `push --porcelain` said of each reference: flag and summary."""
    answers = {}
    for line in os.fsdecode(output.out).splitlines():
        parts = line.split("\t")
        if len(parts) == 3:
            answers[parts[1].split(":", 1)[1]] = (parts[0], parts[2])
    return answers


def _refusal(name: str, answers: dict[str, tuple[str, str]], output: Output) -> str:
    refused = {ref: said for ref, (flag, said) in answers.items() if flag == "!"}
    culprits = {ref: said for ref, said in refused.items() if not any(word in said for word in _FOLLOWED)} or refused
    reasons = []
    for ref, said in culprits.items():
        short = ref.removeprefix(BRANCH).removeprefix(TAG)
        in_brackets = re.search(r"\((.*)\)$", said)
        why = in_brackets[1] if in_brackets else said
        reasons.append(f"{short}: somebody moved it" if why in ("stale info", "fetch first") else f"{short}: {why}")
    told = [re.sub(r"\x1b\[[0-9;]*m|\s+$", "", line)[8:] for line in _remote_lines(output)]
    quoted = f'; it says "{" ".join(told)}"' if told else ""
    return f"{name} refused {', '.join(reasons) or 'the push'}{quoted}"


def _remote_lines(output: Output) -> list[str]:
    lines = output.err.decode("utf-8", "replace").splitlines()
    return [line for line in lines if line.startswith("remote: ") and line[8:].strip()]
