"""Environments shared between releases: one per content of the lock files, built once.

opskit does not know what an environment is. It gives `build` a directory whose name changes exactly when a lock file
or the machine's interpreter does (`OPSKIT_ENVIRONMENT_DIR`); `build` fills it if it is empty, and leaves it if not.
"""

import hashlib
import platform
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

READY = ".opskit-ready"
LOCK_FILES = (
    "requirements.lock",
    "requirements.txt",
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "pylock.toml",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "Cargo.lock",
    "go.sum",
    "Gemfile.lock",
    "composer.lock",
    "mix.lock",
)


def lock_files(release_dir: Path) -> list[Path]:
    """The lock files at the top of a release, in a fixed order."""
    return [path for name in LOCK_FILES if (path := release_dir / name).is_file()]


def environment_name(locks: Iterable[tuple[str, bytes]], *, machine: str) -> str:
    """The name of the environment for these lock files, (name, content) each, on this *machine*."""
    digest = hashlib.sha256(machine.encode())
    for name, content in locks:
        digest.update(b"\0" + name.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]


def machine() -> str:
    """What beside the lock files decides whether an environment fits: interpreter, C library, architecture."""
    return " ".join(
        (sys.implementation.cache_tag or "", platform.machine(), *platform.libc_ver(), str(Path(sys.base_prefix)))
    )


def environment_dir(environments: Path, release_dir: Path) -> Path:
    """Where the environment of the release at *release_dir* is or will be."""
    locks = [(path.name, path.read_bytes()) for path in lock_files(release_dir)]
    return environments / environment_name(locks, machine=machine())


def is_ready(environment: Path) -> bool:
    """True if a build that used this environment has ended well."""
    return (environment / READY).is_file()


def prepare(environment: Path) -> None:
    """Make the directory for a build; what a build that was cut off left in it is removed first."""
    if environment.exists() and not is_ready(environment):
        shutil.rmtree(environment)
    environment.mkdir(mode=0o755, parents=True, exist_ok=True)


def mark_ready(environment: Path) -> bool:
    """Say that it is whole and return True; one that the build left empty is removed instead."""
    if not any(environment.iterdir()):
        environment.rmdir()
        return False
    (environment / READY).touch()
    return True


def remove_unused(environments: Path, *, used: Iterable[str]) -> list[str]:
    """Remove the environments whose name is not in *used*; returns their names."""
    keep = set(used)
    gone = [path for path in environments.iterdir() if path.name not in keep] if environments.is_dir() else []
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in gone]
