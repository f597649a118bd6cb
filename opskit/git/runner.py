"""The only place that starts git: one thin runner over GitPython's process layer, with an environment of its own.

GitPython's object API is 5-50 times slower than one plumbing command and its `Remote.push` swallows rejections, so only
its process layer is used. Importing it costs 0.2 s; nothing here may be imported by `opskit --help`.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opskit.errors import OpskitError, Refused, UsageFault

if TYPE_CHECKING:
    from git.cmd import Git as GitCommand

OLDEST = (2, 38)  # the first with `merge-tree --write-tree`

# What a caller (a git hook, for one) may have set that would point git at another repository or index.
_FOREIGN = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
_ENVIRONMENT = {
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "GIT_TERMINAL_PROMPT": "0",  # an unreachable remote is an error, not a question nobody answers
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "true",
    "GIT_MERGE_AUTOEDIT": "no",
    "GIT_OPTIONAL_LOCKS": "0",  # reading must not get in the way of another git
    "GIT_ADVICE": "0",
    "GCM_INTERACTIVE": "never",
}
_SETTINGS = (
    "--no-pager",
    *("-c", "color.ui=false"),
    *("-c", "core.quotePath=false"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    *("-c", "log.showSignature=false"),
    *("-c", "advice.detachedHead=false"),
)


@dataclass(frozen=True, slots=True)
class Output:
    """What git answered."""

    code: int
    out: bytes
    err: bytes

    @property
    def reason(self) -> str:
        """Git's own words on what went wrong, on one line: its `fatal:` and `error:` lines, else the last line."""
        lines = [line.strip() for line in self.err.decode("utf-8", "replace").splitlines() if line.strip()]
        faults = [line for line in lines if line.startswith(("fatal:", "error:"))]
        return "; ".join(faults or lines[-1:])


class GitFailed(OpskitError):
    """A git command failed that should not have; its words are quoted."""

    def __init__(self, arguments: tuple[str, ...], output: Output) -> None:
        self.arguments, self.output = arguments, output
        said = output.reason or f"exit code {output.code}"
        super().__init__(f"git {arguments[0]} failed: {said}")


class Git:
    """Runs git in one directory. Cheap to make; keeps no process alive between calls.

    With *timeout_s* a call that takes longer is ended and has failed: for a remote that does not answer.
    """

    def __init__(
        self, directory: Path, *, env: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> None:
        self.directory, self.timeout_s = directory, timeout_s
        self.env: Mapping[str, str] = env or {}
        self._command: GitCommand | None = None

    def run(
        self,
        *args: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        hold: tuple[int, ...] = (),
        settings: tuple[str, ...] = _SETTINGS,
    ) -> Output:
        """Run `git ARGS` to its end. Values from people belong behind `--` or `--end-of-options`.

        Output is bytes as git wrote them. `hold` are file descriptors that git and all it starts keep open.
        Raises `GitFailed` if *check* and the exit code is not 0.
        """
        if self._command is None:
            self._command = _command(self.directory)
        process: Any = self._command.execute(
            ["git", *settings, *args],
            as_process=True,
            istream=subprocess.PIPE if stdin is not None else None,
            env={**_ENVIRONMENT, **self.env, **(env or {})},
            pass_fds=hold,
            **({"start_new_session": True} if self.timeout_s else {}),  # a group of its own, to end ssh with it
        )
        popen: subprocess.Popen[bytes] = process.proc
        try:
            out, err = popen.communicate(stdin, timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(popen.pid, signal.SIGKILL)
            out, err = b"", f"fatal: no answer within {self.timeout_s:g} s".encode()
        finally:
            process.proc = None  # ended (or the interrupt is passing through): leave nothing for its destructor
            if popen.returncode is None:
                popen.kill()
                popen.communicate()
        output = Output(popen.returncode, out, err)
        if check and output.code:
            raise GitFailed(args, output)
        return output

    def text(self, *args: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None) -> str:
        """What `git ARGS` prints, without the last line break; bytes that are no UTF-8 survive as surrogates."""
        return os.fsdecode(self.run(*args, stdin=stdin, env=env).out.removesuffix(b"\n"))

    def lines(self, *args: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None) -> list[str]:
        """What `git ARGS` prints, by line."""
        text = self.text(*args, stdin=stdin, env=env)
        return text.split("\n") if text else []

    def at(self, directory: Path) -> "Git":
        """The same runner in another directory."""
        return Git(directory, env=self.env, timeout_s=self.timeout_s)

    def within(self, timeout_s: float) -> "Git":
        """The same runner, each call ended after *timeout_s*."""
        return Git(self.directory, env=self.env, timeout_s=timeout_s)

    @property
    def version(self) -> str:
        """Git's version, asked for in the plainest way there is: `2.39.5`."""
        said = os.fsdecode(self.run("--version", settings=()).out).strip()
        return said.removeprefix("git version ")

    @property
    def common_dir(self) -> Path:
        """The directory that all work trees of this repository share (`.git` of the main one)."""
        return Path(self.text("rev-parse", "--path-format=absolute", "--git-common-dir"))

    @classmethod
    def discover(cls, start: Path, *, bare: bool = False) -> "Git":
        """The runner at the top of the work tree that holds *start*; with *bare*, a bare repository will do too.

        Raises `UsageFault` if that is no work tree, `Refused` if git is missing or older than 2.38.
        """
        for name in _FOREIGN:
            os.environ.pop(name, None)
        here = cls(start)
        _require_version(here)
        found = here.run("rev-parse", "--show-toplevel", check=False)
        if found.code == 0:
            return cls(Path(os.fsdecode(found.out.removesuffix(b"\n"))))
        is_bare = here.run("rev-parse", "--is-bare-repository", check=False).out.strip() == b"true"
        if is_bare and bare:
            return cls(here.common_dir)
        if is_bare:
            raise UsageFault(
                f"{start} is a bare repository, without files", remedy="run it in a clone with a work tree"
            )
        top = next((place for place in (start, *start.parents) if (place / ".git").exists()), None)
        if top:  # there is one, and to advise another would only do harm
            raise UsageFault(
                f"git refuses to work in {start}: {found.reason}",
                remedy=f"see git -C {top} status; who owns it: ls -ld {top}/.git",
            )
        raise UsageFault(
            f"{start} is not in a git repository ({found.reason})",
            remedy="change into one, or make one: git init",
        )


def _command(directory: Path) -> "GitCommand":
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")  # a missing git is told by us, in one sentence
    from git.cmd import Git as GitCommand  # here, because the variable must be set before

    return GitCommand(directory)


def _require_version(git: Git) -> None:
    _command(git.directory)
    from git.exc import GitCommandNotFound

    wanted = ".".join(map(str, OLDEST))
    try:
        said = git.version
    except GitCommandNotFound as fault:
        raise Refused("git is not installed", remedy=f"install git {wanted} or newer") from fault
    numbers = re.search(r"(\d+)\.(\d+)", said)
    if not numbers or (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise Refused(f"git here is {said}, too old", remedy=f"install git {wanted} or newer")
