"""Release directories: `releases/<version>-<sha>/`, the exported tree of one commit and what `build` made of it.

A release directory is whole once `.opskit-release.json` is in it, and is never changed after that: its files are
read-only. Without that file it is what an export or a build that was cut off left behind.
"""

import json
import re
import shutil
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from opskit.deploy.durable import write_atomically

RECORD = ".opskit-release.json"
SHORT = 12
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True, slots=True)
class Built:
    """A whole release directory. `environment` is the name of the shared environment it needs, or ""."""

    directory: Path
    version: str
    commit: str
    environment: str
    built_at: str

    @property
    def name(self) -> str:
        return self.directory.name


def release_name(version: str, commit: str) -> str:
    """The directory's name for a version (without prefix) and full commit id."""
    return f"{_UNSAFE.sub('-', version)}-{commit[:SHORT]}"


def read(directory: Path) -> Built | None:
    """The release in *directory*, or None if it is not whole."""
    try:
        tree = json.loads((directory / RECORD).read_bytes())
        return Built(directory, tree["version"], tree["commit"], tree["environment"], tree["built_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def all_built(releases: Path) -> list[Built]:
    """Every whole release, oldest build first."""
    found = [read(path) for path in releases.iterdir()] if releases.is_dir() else []
    return sorted((built for built in found if built), key=lambda built: (built.built_at, built.name))


def export(directory: Path, write_archive: Callable[[Path], None]) -> None:
    """Make *directory* anew and unpack into it the tar file that *write_archive* makes of the commit's tree."""
    discard(directory)
    directory.mkdir(mode=0o755)
    archive = directory.with_name(f".{directory.name}.tar")
    try:
        write_archive(archive)
        with tarfile.open(archive) as tar:
            tar.extractall(directory, filter="tar")  # a commit's symlinks may point anywhere, as in a checkout
    finally:
        archive.unlink(missing_ok=True)


def seal(built: Built) -> Built:
    """Write the record that makes the release whole, and make its files read-only."""
    record = asdict(built)
    del record["directory"]
    write_atomically(built.directory / RECORD, json.dumps(record).encode())
    for path in built.directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)
    return built


def discard(directory: Path) -> None:
    """Remove a release directory, whole or not; that there is none is fine."""
    if directory.exists():
        (directory / RECORD).unlink(missing_ok=True)  # from here on it is not whole
        shutil.rmtree(directory)


def to_retire(built: Iterable[Built], *, keep: int, in_use: Iterable[str], order: Iterable[str]) -> list[Built]:
    """The releases beyond the *keep* most recently in service, never one that is *in_use*.

    *order* names releases as they went into service, oldest first; one that never did is the first to go.
    """
    rank = {name: at for at, name in enumerate(order)}
    protected = set(in_use)
    newest_first = sorted(built, key=lambda each: (rank.get(each.name, -1), each.built_at), reverse=True)
    kept = [each for each in newest_first if each.name in protected]
    for each in newest_first:
        if each.name not in protected and len(kept) < keep:
            kept.append(each)
    names = {each.name for each in kept}
    return [each for each in newest_first if each.name not in names]
