"""A target that is held up for one test, and gone after it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opskit.deploy.control import Control, ensure_running
from opskit.deploy.supervisor import copies
from tests.opskit.supervisor.harness import Target


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy of opskit, made once: making it is what takes longest."""
    state_dir = tmp_path_factory.mktemp("copy")
    copies.install(state_dir)
    return state_dir / "opskit"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, copy: Path) -> Iterator[Target]:
    """One target for the tests that do not mind what ran on it before."""
    with held_up(tmp_path_factory.mktemp("shared"), copy) as target:
        yield target


@pytest.fixture
def target(tmp_path: Path, copy: Path) -> Iterator[Target]:
    """A target of the test's own."""
    with held_up(tmp_path, copy) as target:
        yield target


@contextmanager
def held_up(tmp_path: Path, copy: Path) -> Iterator[Target]:
    shutil.copytree(copy, tmp_path / "state" / "opskit", symlinks=True)
    control = ensure_running("local", tmp_path / "state", "127.0.0.1:0")
    try:
        yield Target(control, tmp_path / "state", tmp_path / "releases")
    finally:
        Control(tmp_path / "state").stop()
