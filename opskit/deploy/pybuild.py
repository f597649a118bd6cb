"""`python -m opskit.deploy.pybuild`: a `build` for Python services with a lock file.

The locked packages go into the shared environment (`OPSKIT_ENVIRONMENT_DIR`), once per lock file. The release gets a
thin `.venv` of its own: a `python`, the console scripts of its `pyproject.toml`, and one `.pth` file (see `site`) that
puts the release's code before the environment's packages. So a deploy with unchanged dependencies installs nothing.
"""

import compileall
import importlib.util
import os
import py_compile
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

from opskit.deploy.environments import is_ready, mark_ready
from opskit.errors import Bad, OpskitError, UsageFault

LOCKS = ("requirements.lock", "requirements.txt", "pylock.toml")
_NOT_SERVED = {".venv", "node_modules", "test", "tests"}
_SCRIPT = """#!{python}
import sys
from {module} import {first}
if __name__ == "__main__":
    sys.exit({call}())
"""


def main() -> int:
    """Build the release in `OPSKIT_RELEASE_DIR`; exit code as of opskit."""
    try:
        release = _directory("OPSKIT_RELEASE_DIR")
        environment = _directory("OPSKIT_ENVIRONMENT_DIR")
        install_locked(release, environment)
        install_release(release, environment)
    except OpskitError as fault:
        print(f"pybuild: {fault}", file=sys.stderr)
        return fault.exit_code
    return 0


def install_locked(release: Path, environment: Path) -> None:
    """Fill *environment* with what the release's lock file names, unless it is there already."""
    if is_ready(environment):
        print(f"environment {environment.name} is shared with an earlier release")
        return
    lock = next((path for name in LOCKS if (path := release / name).is_file()), None)
    if lock is None:
        raise UsageFault(f"no lock file in {release.name}; pybuild needs one of {', '.join(LOCKS)}")
    print(f"installing {lock.name} into environment {environment.name}", flush=True)
    has_pip = importlib.util.find_spec("pip") is not None
    venv.EnvBuilder(with_pip=not has_pip, symlinks=True).create(environment)
    python = str(environment / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python] if has_pip else [python, "-m", "pip"]
    hashed = ["--require-hashes"] if "--hash=" in lock.read_text(encoding="utf-8") else []
    command = [*pip, "--disable-pip-version-check", "install", "--no-input", "--quiet", *hashed, "-r", str(lock)]
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise Bad(f"pip could not install {lock.name} (exit {done.returncode})")
    _compile(_site_packages(environment))  # pip may have been told not to
    mark_ready(environment)


def install_release(release: Path, environment: Path) -> None:
    """Make the release's thin `.venv`."""
    thin = release / ".venv"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(thin)
    site = _site_packages(thin)
    code = release / "src" if (release / "src").is_dir() else release
    shared = _site_packages(environment)
    lines = [str(code), f"import site; site.addsitedir({str(shared)!r})"]
    (site / "release.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")
    project = _project(release)
    _write_metadata(site, project)
    for name, target in project.get("scripts", {}).items():
        _write_script(thin / "bin" / name, target)
    _compile(code, maxlevels=0)
    for package in code.iterdir():
        if package.is_dir() and not package.is_symlink() and package.name not in _NOT_SERVED:
            _compile(package)


def _compile(directory: Path, **options: Any) -> None:
    """Write the bytecode now: a start that has to compile takes three times as long, and so does every crash.

    By time stamp, also where SOURCE_DATE_EPOCH is set: a hash would be computed anew at every start (PEP 552).
    """
    stamp = py_compile.PycInvalidationMode.TIMESTAMP
    compileall.compile_dir(directory, quiet=2, workers=1, invalidation_mode=stamp, **options)


def _site_packages(environment: Path) -> Path:
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _project(release: Path) -> dict[str, Any]:
    try:
        tree = tomllib.loads((release / "pyproject.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as fault:
        raise UsageFault(f"pyproject.toml of {release.name} is not valid TOML: {fault}") from fault
    project: dict[str, Any] = tree.get("project", {})
    return project


def _write_metadata(site: Path, project: dict[str, Any]) -> None:
    """Let `importlib.metadata` find the release's name and version (core metadata 2.1)."""
    if "name" not in project or "version" not in project:
        return
    name, version = project["name"], project["version"]
    directory = site / f"{name.replace('-', '_')}-{version}.dist-info"
    directory.mkdir(exist_ok=True)
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")


def _write_script(path: Path, target: str) -> None:
    module, _, call = target.partition(":")
    first = call.partition(".")[0]
    text = _SCRIPT.format(python=path.with_name("python"), module=module, first=first, call=call)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def _directory(variable: str) -> Path:
    value = os.environ.get(variable, "")
    if not value or not Path(value).is_dir():
        raise UsageFault(f"{variable} names no directory: {value!r}; `opskit deploy` sets it for the build command")
    return Path(value)


if __name__ == "__main__":
    sys.exit(main())
