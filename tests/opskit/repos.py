"""Real git repositories for tests: a git-flow project, its bare remote, clones, and `opskit` run in them."""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, NoReturn

import git  # noqa: F401 - imported before the forks, which need it
import pytest

from opskit.cli import main
from tests import forked

ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # a project's own pytest need not load what this one's tests use
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}
_CONFIG = """\
[user]
\tname = Zoë Ångström
\temail = zoe@example.org
[init]
\tdefaultBranch = main
[core]
\tautocrlf = false
[protocol "file"]
\tallow = always
[gc]
\tauto = 0
[receive]
\tautogc = false
"""


@dataclass(frozen=True)
class Ran:
    """What one call of `opskit` came to."""

    code: int
    out: str
    err: str

    @cached_property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass(frozen=True)
class Repo:
    """A work tree and how to act in it. Commits get increasing dates, so that ids do not depend on the clock."""

    path: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def git(
        self, *args: str, check: bool = True, env: Mapping[str, str] | None = None, stdin: str | None = None
    ) -> str:
        """Run git here and return what it prints, without the last line break."""
        done = subprocess.run(
            ["git", *args],
            cwd=self.path,
            env={**os.environ, **ENVIRONMENT, **self.env, **(env or {})},
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
        )
        if check and done.returncode:
            raise AssertionError(f"git {' '.join(args)}: {done.stderr}")
        return done.stdout.removesuffix("\n")

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file, making its folders."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def commit(self, message: str, files: Mapping[str, str | bytes] | None = None) -> str:
        """Commit *files* (default: a file named after the count of commits) on the branch checked out."""
        count = self.git("rev-list", "--count", "--all")
        for name, content in (files or {f"file-{count}.txt": f"{message}\n"}).items():
            self.write(name, content)
            self.git("add", "--", name)
        date = f"@{1_700_000_000 + 60 * int(count)} +0000"
        self.git("commit", "-q", "-m", message, env={"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date})
        return self.git("rev-parse", "HEAD")

    def refs(self) -> dict[str, str]:
        """Branches and tags by full name."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags").splitlines()
        return {line.split(" ")[0]: line.split(" ")[1] for line in lines}

    def rev(self, name: str) -> str:
        """The id of a revision."""
        return self.git("rev-parse", "--verify", name)

    def status(self) -> str:
        """`git status --porcelain`."""
        return self.git("status", "--porcelain")

    def show(self, revision: str) -> str:
        """A file of a revision, as `REV:PATH`."""
        return self.git("show", revision)

    def opskit(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        arm: Callable[[], None] | None = None,
    ) -> Ran:
        """Run `opskit` here in a process of its own, forked so that it need not import everything anew.

        *arm* is called in that process first: a test's way to have it killed at an exact place. It is forked from
        this one then, which costs three times as much.
        """
        if arm is None:
            environment = {**os.environ, **ENVIRONMENT, **self.env, **(env or {})}
            done = forked.opskit(*args, cwd=self.path, env=environment, stdin=stdin or "")
            return Ran(done.returncode, done.stdout, done.stderr)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as given:
            given.write((stdin or "").encode())
            given.seek(0)
            pid = os.fork()
            if pid == 0:
                _become_opskit(self.path, args, {**self.env, **(env or {})}, (given, out, err), arm)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            out.seek(0)
            err.seek(0)
            return Ran(code, out.read().decode(errors="surrogateescape"), err.read().decode(errors="surrogateescape"))

    def start(self, *args: str) -> "subprocess.Popen[bytes]":
        """Start `opskit` here as the head of a process group of its own, its output thrown away."""
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "opskit", *args],
            cwd=self.path,
            env={**os.environ, **ENVIRONMENT, **self.env, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def spawned(self, *args: str) -> Ran:
        """Run `opskit` here in a process that was not forked from this one, which is what threads may do."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "opskit", *args],
            cwd=self.path,
            env={**os.environ, **ENVIRONMENT, **self.env, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def clone(self, name: str) -> "Repo":
        """Another clone of this one's remote (or of itself if it is bare)."""
        source = self.path if self.is_bare else Path(self.git("remote", "get-url", "origin"))
        place = self.path.parent / name
        Repo(self.path.parent, self.env).git("clone", "-q", str(source), str(place))
        return Repo(place, self.env)

    @property
    def is_bare(self) -> bool:
        """True for a repository without a work tree."""
        return not (self.path / ".git").exists()


def _become_opskit(
    place: Path,
    args: tuple[str, ...],
    env: Mapping[str, str],
    streams: tuple[IO[bytes], IO[bytes], IO[bytes]],
    arm: Callable[[], None] | None,
) -> NoReturn:
    """The rest of a forked process: `opskit ARGS` with these files for its streams. Never returns."""
    code = 70
    try:
        for target, file in enumerate(streams):
            os.dup2(file.fileno(), target)
        sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8", errors="surrogateescape")
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", errors="backslashreplace")
        os.chdir(place)
        os.environ.update({**ENVIRONMENT, **env})
        sys.argv = ["opskit", *args]
        if arm:
            arm()
        main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001 - the end of a process: whatever it was is shown
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@dataclass(frozen=True)
class Project:
    """A work tree with its bare remote."""

    here: Repo
    remote: Repo


CHANGELOG = """\
# Changelog

## [Unreleased]
"""


@dataclass(frozen=True)
class Repos:
    """Makes repositories in one folder, all with the same private configuration."""

    folder: Path
    env: Mapping[str, str]
    templates: Path

    def empty(self, name: str = "empty") -> Repo:
        """A repository without any commit."""
        (self.folder / name).mkdir()
        repo = Repo(self.folder / name, self.env)
        repo.git("init", "-q", "--template=")
        return repo

    def bare(self, name: str = "remote.git") -> Repo:
        """An empty bare repository."""
        Repo(self.folder, self.env).git("init", "-q", "--template=", "--bare", name)
        return Repo(self.folder / name, self.env)

    def project(self, *, config: str = "", released: bool = True, develop: bool = True) -> Project:
        """A git-flow project with a bare remote: v1.0.0 released on main, a feature and a fix waiting on develop.

        *config* goes into opskit.toml; the version stands in version.json. Made once, then copied.
        """
        name = f"{released}-{develop}-{sha256(config.encode()).hexdigest()[:16]}"
        return self.kept(name, lambda fresh: fresh._make_project(config, released=released, develop=develop))

    def kept(self, name: str, make: Callable[["Repos"], object]) -> Project:
        """The project that *make* makes in `work` and `remote.git`, made once in a test run, then copied."""
        made = self.templates / name
        if not made.exists():
            scratch = Path(tempfile.mkdtemp(dir=self.templates.parent))
            make(Repos(scratch, self.env, self.templates))
            self.templates.mkdir(exist_ok=True)
            scratch.rename(made)
        shutil.copytree(made, self.folder, dirs_exist_ok=True, symlinks=True)
        here = Repo(self.folder / "work", self.env)
        here.git("config", "remote.origin.url", str(self.folder / "remote.git"))
        here.git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
        here.git("fetch", "-q")
        here.git("update-index", "-q", "--refresh")
        return Project(here, Repo(self.folder / "remote.git", self.env))

    def _make_project(self, config: str, *, released: bool, develop: bool) -> None:
        here = self.empty("work")
        files = {
            "opskit.toml": f'version_files = ["version.json:version"]\n{"" if develop else TRUNK}{config}',
            "CHANGELOG.md": CHANGELOG,
            "version.json": '{\n  "name": "demo",\n  "version": "1.0.0"\n}\n',
            "app.txt": "".join(f"line {n}\n" for n in range(1, 30)),
        }
        here.commit("feat: begin (US-001)", files)
        if released:
            here.git("tag", "-a", "v1.0.0", "-m", "1.0.0", env={"GIT_COMMITTER_DATE": "@1700000030 +0000"})
        if develop:
            here.git("checkout", "-q", "-b", "develop")
        here.commit("feat: rooms (US-002)", {"rooms.txt": "rooms\n"})
        here.commit("fix: a leak", {"leak.txt": "none\n"})
        remote = self.bare()
        here.git("push", "-q", str(remote.path), "--all")
        here.git("push", "-q", str(remote.path), "--tags")


TRUNK = 'develop = ""\n'


@pytest.fixture
def repos(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Repos:
    """A factory of repositories under a folder of this test's own."""
    config = tmp_path / "gitconfig"
    config.write_text(_CONFIG, encoding="utf-8")
    env = {"GIT_CONFIG_GLOBAL": str(config), "HOME": str(tmp_path)}
    for name, value in {**ENVIRONMENT, **env}.items():
        monkeypatch.setenv(name, value)
    return Repos(tmp_path, env, tmp_path_factory.getbasetemp() / "templates")
