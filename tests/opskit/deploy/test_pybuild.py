"""What `python -m opskit.deploy.pybuild` makes of a release directory."""

import importlib.util
import os
import struct
import subprocess
import sys
from pathlib import Path

from opskit.deploy import environments


def built(tmp_path: Path, **env: str) -> Path:
    """A release below a directory called `tests`, built with an environment that is there already."""
    release, environment = tmp_path / "tests" / "release", tmp_path / "environment"
    (release / "shop").mkdir(parents=True)
    (environment / "lib").mkdir(parents=True)
    (release / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\nscripts = { shop = "shop:main" }\n'
    )
    (release / "shop" / "__init__.py").write_text("def main() -> None:\n    print('open')\n", encoding="utf-8")
    environments.mark_ready(environment)
    command = [sys.executable, "-m", "opskit.deploy.pybuild"]
    given = {"OPSKIT_RELEASE_DIR": str(release), "OPSKIT_ENVIRONMENT_DIR": str(environment)}
    subprocess.run(command, env={**os.environ, **given, **env}, check=True, capture_output=True)
    return release


def test_its_scripts_run_its_code(tmp_path: Path) -> None:
    release = built(tmp_path)
    done = subprocess.run([release / ".venv/bin/shop"], capture_output=True, text=True, check=True)
    assert done.stdout == "open\n"


def test_a_release_is_compiled_whatever_its_caller_has_set(tmp_path: Path) -> None:
    release = built(tmp_path, PYTHONDONTWRITEBYTECODE="1", SOURCE_DATE_EPOCH="1700000000")
    source = release / "shop" / "__init__.py"
    header = Path(importlib.util.cache_from_source(str(source))).read_bytes()[:16]
    # PEP 552: flags 0 is "by time stamp", which a start need not hash the source for
    assert struct.unpack("<4sIII", header)[1:] == (0, int(source.stat().st_mtime), source.stat().st_size)
