"""`python -m loadtests.bench_changelog`: the whole changelog of a long history, beside git-cliff in the same run."""

import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from loadtests.bench.table import Better, Figure, as_rows

RUNS = 5
COMMITS = 26_000
_TYPES = ("feat", "fix", "fix", "fix", "docs", "refactor", "test", "build", "ci", "perf", "chore")
_SCOPES = ("core", "router", "forms", "compiler", "http", "größe", "dev-infra")
_WORDS = ("allow", "detect", "keep", "render", "cache", "lazy", "☕", "entrée", "outlet", "when", "nested", "params")
PEER_LIMIT_S = 60.0


def figures(notes: list[str]) -> Iterator[Figure]:
    """What `opskit --help` and a whole changelog take, start of the interpreter included, in seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        cliff = _git_cliff(folder / "git-cliff", notes)
        yield Figure("changelog.help_s", _median_s([*_OPSKIT, "--help"], folder), Better.LOWER, 0.25)
        for name, repository, goal in _histories(folder, notes):
            ours = _median_s([*_OPSKIT, "changelog", "--all"], repository)
            yield Figure(f"changelog.{name}_s", ours, Better.LOWER, goal)
            if cliff:
                try:
                    peer = _median_s([str(cliff), "--offline"], repository, limit_s=PEER_LIMIT_S)
                    yield Figure(f"changelog.{name}_git_cliff_s", peer, Better.LOWER)
                except subprocess.TimeoutExpired:
                    notes.append(f"git-cliff was stopped after {PEER_LIMIT_S:.0f} s on the {name} history")
                if name == "recorded":
                    yield Figure("changelog.git_cliff_misfiled_percent", _misfiled(cliff, repository), Better.LOWER)
                    yield Figure("changelog.opskit_misfiled_percent", _misfiled(None, repository), Better.LOWER, 0)


_OPSKIT = (sys.executable, "-c", "from opskit.cli import main; main()")


def _histories(folder: Path, notes: list[str]) -> Iterator[tuple[str, Path, float]]:
    recorded = _recorded(folder / "recorded.git")
    if recorded:
        yield "recorded", recorded, 0.5
    else:
        notes.append("the recorded history is absent: no shared/histories beside this checkout")
    generated = folder / "generated.git"
    generate(generated, commits=COMMITS)
    yield "generated", generated, 1.2


def _recorded(place: Path) -> Path | None:
    for parent in Path(__file__).resolve().parents:
        source = parent / "shared" / "histories"
        if source.is_dir():
            recording = next(source.glob("*.jsonl.gz"))
            subprocess.run([sys.executable, source / "rebuild", recording, place], check=True)
            return place
    return None


def generate(place: Path, *, commits: int, seed: int = 7) -> None:
    """Make a bare repository with a git-flow history of about *commits* commits: features, squashes, reverts,
    releases with candidates every hundred or so, hotfixes on main merged back, messages in many forms.
    """
    chance = random.Random(seed)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "develop", place], check=True)
    importer = subprocess.Popen(["git", "-C", place, "fast-import", "--quiet"], stdin=subprocess.PIPE)
    if importer.stdin is None:  # never: it was asked for
        raise RuntimeError("git fast-import has no input")
    made: list[str] = []
    write = importer.stdin.write

    def commit(message: str, *parents: int) -> int:
        made.append(message)
        body = message.encode()
        who = f"Z <z@example.org> {1_500_000_000 + len(made)} +0000"
        head = f"commit refs/heads/import\nmark :{len(made)}\ncommitter {who}"
        above = "".join(f"{'merge' if at else 'from'} :{parent}\n" for at, parent in enumerate(parents))
        write(f"{head}\ndata {len(body)}\n".encode() + body + f"\n{above}\n".encode())
        return len(made)

    main = develop = commit("chore: begin")
    minor = 0
    while len(made) < commits:
        feature = develop
        for _ in range(chance.randint(1, 6)):
            feature = commit(_message(chance, made), feature)
        develop = commit(f"Merge pull request #{len(made)} from x/y", develop, feature)
        if chance.random() < 0.05:
            write(f"reset refs/tags/v1.{minor}.0-rc.1\nfrom :{develop}\n\n".encode())
            develop = commit(_message(chance, made), develop)
            main = commit(f"Merge release 1.{minor}.0", main, develop)
            write(f"tag v1.{minor}.0\nfrom :{main}\ntagger Z <z@example.org> 1600000000 +0000\ndata 0\n".encode())
            fixed = commit(_message(chance, made), main)
            write(f"reset refs/tags/v1.{minor}.1\nfrom :{fixed}\n\n".encode())
            main = fixed
            develop = commit("Merge main into develop", develop, main)
            minor += 1
    write(f"reset refs/heads/main\nfrom :{main}\n\nreset refs/heads/develop\nfrom :{develop}\n\n".encode())
    importer.stdin.close()
    if importer.wait():
        raise RuntimeError("git fast-import failed")
    subprocess.run(["git", "-C", place, "update-ref", "-d", "refs/heads/import"], check=True)


def _message(chance: random.Random, made: list[str]) -> str:
    def subject() -> str:
        words = " ".join(chance.choices(_WORDS, k=chance.randint(3, 9)))
        mark = "!" if chance.random() < 0.02 else ""
        return f"{chance.choice(_TYPES)}({chance.choice(_SCOPES)}){mark}: {words} (#{chance.randint(1, 60_000)})"

    match chance.random():
        case kind if kind < 0.05:
            return f'Revert "{made[-1].partition(chr(10))[0]}"'
        case kind if kind < 0.1:
            return f"{subject()}\n\n" + "\n".join(f"* {subject()}" for _ in range(chance.randint(2, 6)))
        case kind if kind < 0.5:
            prose = "\n".join(" ".join(chance.choices(_WORDS, k=10)) for _ in range(chance.randint(1, 8)))
            return f"{subject()}\n\n{prose}\n\nRefs: US-{chance.randint(1, 900)}\nPR Close #{chance.randint(1, 60_000)}"
        case kind if kind < 0.6:
            return " ".join(chance.choices(_WORDS, k=5))
        case _:
            return subject()


def _git_cliff(place: Path, notes: list[str]) -> Path | None:
    """git-cliff from PyPI in a scratch folder; None, and said so, if it cannot be had."""
    if found := shutil.which("git-cliff"):
        return Path(found)
    asked = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(place)]
    done = subprocess.run([*asked, "git-cliff"], capture_output=True, text=True)
    binary = place / "bin" / "git-cliff"
    if done.returncode or not binary.exists():
        notes.append(f"git-cliff: absent, {(done.stderr.strip().splitlines() or ['pip brought no binary'])[-1]}")
        return None
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    notes.append(said)
    return binary


def _median_s(command: list[str], folder: Path, *, limit_s: float | None = None) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    took = []
    for _ in range(RUNS + 1):  # the first one warms the caches and is not counted
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True, timeout=limit_s)
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


def _misfiled(cliff: Path | None, repository: Path) -> float:
    """The share of listed commits that stand under another final release than the first that contains them."""
    if cliff:
        said = json.loads(_output([str(cliff), "--offline", "--context"], repository))
        listed = {commit["id"]: one["version"] for one in said for commit in one["commits"]}
    else:
        sections = json.loads(_output([*_OPSKIT, "changelog", "--all", "--json"], repository))["sections"]
        entries = [(one["version"], entry) for one in sections for group in one["groups"].values() for entry in group]
        listed = {entry["sha"]: None if version == "Unreleased" else f"v{version}" for version, entry in entries}
    tags = [tag for tag in _output(["git", "tag", "--list", "v*"], repository).split() if "-" not in tag]
    contained = {tag: set(_output(["git", "rev-list", f"refs/tags/{tag}"], repository).split()) for tag in tags}
    wrong = 0
    for sha, release in listed.items():
        rivals = [tag for tag in tags if sha in contained[tag]]
        first = [tag for tag in rivals if not any(contained[other] < contained[tag] for other in rivals)]
        wrong += release not in first if first else release in contained
    return 100 * wrong / max(len(listed), 1)


def _output(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


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
