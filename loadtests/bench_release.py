"""`python -m loadtests.bench_release`: a release on a small repository, beside git-flow AVH in the same run."""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from loadtests.bench.table import Better, Figure, as_rows

RUNS = 5
_OPSKIT = (sys.executable, "-c", "from opskit.cli import main; main()")
_CONFIG = """\
[user]
\tname = Bench
\temail = bench@example.org
[init]
\tdefaultBranch = main
[gitflow "branch"]
\tmaster = main
\tdevelop = develop
[gitflow "prefix"]
\trelease = release/
\tversiontag = v
\tfeature = feature/
\tbugfix = bugfix/
\thotfix = hotfix/
\tsupport = support/
"""


def figures(notes: list[str]) -> Iterator[Figure]:
    """Seconds that a whole release takes, pushed to a bare repository, start of the interpreter included."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "gitconfig").write_text(_CONFIG, encoding="ascii")
        usual = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env = {**usual, "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"), "GIT_MERGE_AUTOEDIT": "no"}
        ours = [_timed(folder / f"opskit{run}", env, ["opskit"], [[*_OPSKIT, "release"]]) for run in range(RUNS + 1)]
        yield Figure("release.opskit_s", statistics.median(ours[1:]), Better.LOWER, 1.5)
        if not shutil.which("git-flow"):
            notes.append("git-flow: absent; on Debian: apt-get install git-flow")
            return
        calls = [
            ["git", "flow", "release", "start", "1.1.0"],
            ["git", "flow", "release", "finish", "-p", "-m", "1.1.0", "1.1.0"],
        ]
        theirs = [_timed(folder / f"flow{run}", env, ["git-flow"], calls) for run in range(RUNS + 1)]
        yield Figure("release.git_flow_avh_s", statistics.median(theirs[1:]), Better.LOWER)
        notes.append("git-flow AVH writes no changelog and no version, runs no CI, and pushes three times")


def _timed(place: Path, env: Mapping[str, str], what: list[str], calls: list[list[str]]) -> float:
    """Make a project at v1.0.0 with ten commits waiting on develop, and time *calls* in it."""
    work = place / "work"
    work.mkdir(parents=True)

    def git(*args: str) -> None:
        subprocess.run(["git", *args], cwd=work, env=env, check=True, capture_output=True)

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "feat: begin")
    git("tag", "-m", "1.0.0", "v1.0.0")
    git("checkout", "-q", "-b", "develop")
    for number in range(10):
        (work / f"{number}.txt").write_text(f"{number}\n", encoding="ascii")
        git("add", ".")
        git("commit", "-q", "-m", f"feat: number {number} (US-{number:03})")
    git("init", "-q", "--bare", str(place / "remote.git"))
    git("remote", "add", "origin", str(place / "remote.git"))
    git("push", "-q", "origin", "--all")
    git("push", "-q", "origin", "--tags")
    began = time.perf_counter()
    for call in calls:
        done = subprocess.run(call, cwd=work, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"{what[0]}: {done.stderr or done.stdout}")
    return time.perf_counter() - began


def main() -> int:
    """Print the table; 1 if a goal is missed."""
    notes: list[str] = []
    found = []
    for figure in figures(notes):
        found.append(figure)
        for row in as_rows([figure], {}):
            print(f"{row[0]:<40}{row[1]:>10}  {row[2]:<10}{row[3]}", flush=True)
    with contextlib.suppress(BrokenPipeError):
        print("\n".join(notes), file=sys.stderr)
    return 1 if any(figure.reached is False for figure in found) else 0


if __name__ == "__main__":
    sys.exit(main())
