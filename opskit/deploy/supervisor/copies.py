"""The copy of opskit that keeper, supervisor and relay run from: in `state_dir`, needing no checkout and no venv."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import opskit

MODULES = (
    "deploy/__init__.py",
    "deploy/control.py",
    "deploy/durable.py",
    "deploy/keeper.py",
    "deploy/relay.py",
    "deploy/sockets.py",
    "deploy/wire.py",
    "errors.py",
    "telemetry.py",
)
PROGRAMS = {
    "keeper": "opskit.deploy.keeper",
    "supervisor": "opskit.deploy.supervisor.main",
    "relay": "opskit.deploy.relay",
}
KEPT = 3  # copies, the current one included: one that still runs may yet import from its own


@dataclass(frozen=True, slots=True)
class Copy:
    """Which code a copy holds."""

    id: str
    version: str

    def succeeds(self, other: "Copy") -> bool:
        """True if this is other code and not of an older version."""
        return self.id != other.id and _ordered(self.version) >= _ordered(other.version)


def _ordered(version: str) -> tuple[int, ...]:
    release = version.split("+")[0].split("-")[0].split(".")
    return tuple(int(part) for part in release if part.isdecimal())


def _files() -> dict[str, bytes]:
    """Path within a copy to content, of this very opskit."""
    root = Path(opskit.__file__).parent
    own = sorted(path.relative_to(root).as_posix() for path in (root / "deploy/supervisor").glob("*.py"))
    files = {f"opskit/{name}": (root / name).read_bytes() for name in (*MODULES, *own)}
    version = f'"""A copy of what keeper and supervisor need."""\n\n__version__ = {opskit.__version__!r}\n'
    files["opskit/__init__.py"] = version.encode()
    for word, module in PROGRAMS.items():
        files[f"opskit-{word}.py"] = f"from {module} import main\n\nmain()\n".encode()
    return files


def of_this_opskit() -> Copy:
    """The copy that `install` would make."""
    digest = hashlib.sha256()
    for name, content in sorted(_files().items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return Copy(f"{opskit.__version__}-{digest.hexdigest()[:10]}", opskit.__version__)


def current(state_dir: Path) -> Copy:
    """The copy that the next keeper and supervisor start from; raises OSError if there is none."""
    written = json.loads((state_dir / "opskit/current/copy.json").read_text(encoding="utf-8"))
    return Copy(written["id"], written["version"])


def install(state_dir: Path) -> Copy:
    """Write this opskit's copy, if it is not there yet, and make it the current one; raises OSError."""
    copy, home = of_this_opskit(), state_dir / "opskit"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (home / copy.id).exists():
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=home))
        try:
            _write(fresh, copy)
            _prove(fresh)
            fresh.rename(home / copy.id)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    link = home / "current.new"
    link.unlink(missing_ok=True)
    link.symlink_to(copy.id)
    link.replace(home / "current")
    older = [path for path in home.iterdir() if path.name not in (copy.id, "current") and path.is_dir()]
    for path in sorted(older, key=lambda path: path.stat().st_mtime)[: -(KEPT - 1)]:
        shutil.rmtree(path, ignore_errors=True)
    return copy


def _write(directory: Path, copy: Copy) -> None:
    for name, content in _files().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (directory / "copy.json").write_text(json.dumps({"id": copy.id, "version": copy.version}), encoding="utf-8")


def _prove(copy: Path) -> None:
    """Import all of *copy* as its processes will; a keeper that cannot would take the service down with it."""
    statement = "; ".join(f"import {module}" for module in PROGRAMS.values())
    command = [interpreter(), "-E", "-s", "-S", "-c", statement]
    tried = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=60, check=False)
    if tried.returncode:
        raise OSError(f"the copy does not run with {interpreter()}: {tried.stderr.strip().splitlines()[-1]}")


def interpreter() -> str:
    """The Python that outlives a venv: the one it was made from."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
