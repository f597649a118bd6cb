"""The wheel in an empty environment: the chat serves, and opskit works in a foreign repository that is not Python."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chat.server import free_port, wait_until
from tests.e2e.test_make_run import pip_cache
from tests.opskit.deploy.shop import GIT

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and what it needs, nothing else."""
    place = tmp_path_factory.mktemp("wheel")
    built = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(built, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(place / "env")], check=True)
    programs = place / "env" / "bin"
    pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    env = {**os.environ, "PIP_CACHE_DIR": str(pip_cache())}
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements.lock")], check=True, env=env)
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True, env=env)
    return programs


@pytest.fixture
def served(installed: Path, tmp_path: Path) -> Iterator[str]:
    """The address of `chat serve` run from the wheel."""
    port = free_port()
    command = [str(installed / "chat"), "serve", "--bind", f"127.0.0.1:{port}", "--data-dir", str(tmp_path / "data")]
    env = {"PATH": os.defpath, "HOME": str(tmp_path), "CHAT_BCRYPT_COST": "4"}
    with (tmp_path / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=log, stderr=log)
    try:
        wait_until(lambda: b"serve.listening" in (tmp_path / "serve.log").read_bytes(), within_s=60)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_the_wheel_serves_the_chat_and_smokes_it(installed: Path, served: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(installed / "opskit"), "smoke", "--url", served, "--json"],
        env={"PATH": os.defpath, "HOME": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    verdict = json.loads(done.stdout)
    assert (done.returncode, verdict["failed"]) == (0, 0), [c for c in verdict["checks"] if not c["ok"]]
    assert verdict["passed"] > 20


def test_the_wheel_releases_a_foreign_repository(installed: Path, tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    env = {**os.environ, **GIT, "HOME": str(tmp_path)}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=shop, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def opskit(*args: str) -> str:
        return run(str(installed / "opskit"), *args)

    shop.mkdir()
    run("git", "init", "-q", "--bare", str(tmp_path / "shop.git"))
    run("git", "init", "-q", "-b", "main")
    run("git", "remote", "add", "origin", str(tmp_path / "shop.git"))
    (shop / "package.json").write_text('{"name": "shop", "version": "0.0.0"}\n', encoding="utf-8")
    opskit("init")
    run("git", "add", ".")
    run("git", "commit", "-qm", "feat: sell tea (US-001)")
    run("git", "branch", "develop")
    run("git", "push", "-q", "origin", "main", "develop")
    released = json.loads(opskit("release", "--yes", "--json"))
    assert (released["tag"], released["published"]) == ("v0.1.0", True)
    assert "- Sell tea (US-001)" in run("git", "show", "v0.1.0:CHANGELOG.md")
    assert json.loads(run("git", "show", "v0.1.0:package.json"))["version"] == "0.1.0"
    assert json.loads(opskit("changelog", "--all", "--json"))["sections"]
    assert json.loads(opskit("hotfix", "start", "kettle", "--json"))["branch"] == "hotfix/kettle"


@pytest.mark.timeout(600)
def test_the_wheel_rehearses_a_rollback(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(installed / "opskit"), "drill", "bad-deploy", "--json"],
        env={"PATH": os.defpath, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["result"]) == (0, "done"), done.stderr
    assert [one["decision"] for one in last["incidents"]] == ["rollback"]
    assert last["releases"] == ["v1.0.0", "v1.1.0"]
    assert list(tmp_path.iterdir()) == []
