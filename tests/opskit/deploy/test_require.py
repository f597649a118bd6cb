"""`require`: what a target asks of a commit before it takes it; each refusal names the command that mends it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opskit.git.runner import Git
from opskit.ledger import Ledger
from tests.opskit.deploy.shop import Shop


def refused(shop: Shop, ref: str = "HEAD") -> tuple[str, str]:
    """Sentence and remedy of a deploy that is refused with nothing begun."""
    ran = shop.deploy(ref)
    assert ran.code == 3, ran.last
    assert not (shop.state_dir / "operation.jsonl").exists()
    return ran.last["error"], ran.last["remedy"]


def with_ci(shop: Shop, command: str, **keys: Any) -> None:
    """Configure one CI step beside the target."""
    shop.configure(smoke="", **keys)
    with (shop.path / "opskit.toml").open("a", encoding="utf-8") as file:
        file.write(f'[ci]\ntests = "{command}"\n')


def test_a_target_that_requires_a_tag_takes_tagged_commits_only(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(require=["tag"], smoke="")
    sha = shop.commit(note="more")
    error, remedy = refused(shop)
    assert f'target local requires "tag": {sha[:12]} has no version tag (vX.Y.Z)' in error
    assert "opskit release" in remedy
    assert "--break-glass" in remedy
    shop.git("tag", "v1.1.0")
    assert shop.deploy("HEAD").code == 0


@pytest.mark.slow
def test_a_target_that_requires_ci_takes_green_commits_only(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    with_ci(shop, "exit $(cat verdict)", require=["ci"])
    (shop.path / "verdict").write_text("1")
    sha = shop.commit(note="red")[:12]
    error, remedy = refused(shop)
    assert f'requires "ci": no CI verdict is known for {sha}' in error
    assert f"opskit ci {sha}" in remedy
    assert shop.opskit("ci").code == 1
    error, remedy = refused(shop)
    assert f"CI was red for {sha}" in error
    assert f"opskit ci {sha}" in remedy
    (shop.path / "verdict").write_text("0")
    shop.commit(note="green")
    assert shop.opskit("ci").code == 0
    assert shop.deploy("HEAD").code == 0


@pytest.mark.slow
def test_a_target_that_requires_an_approval_takes_the_release_of_an_approved_hotfix(
    make_shop: Callable[..., Shop],
) -> None:
    shop = make_shop()
    with_ci(shop, "true", require=["approval"])
    sha = shop.commit("v1.1.0")[:12]
    error, remedy = refused(shop)
    assert f'requires "approval": nobody has approved {sha}' in error
    assert f"opskit hotfix approve --reviewer NAME --ref {sha}" in remedy
    assert shop.opskit("hotfix", "approve", "--reviewer", "Ada", "--ref", sha).code == 0
    assert shop.deploy().code == 0
    assert shop.opskit("hotfix", "start", "cafe").code == 0
    shop.commit(note="the fix")
    assert shop.opskit("hotfix", "reject", "--reviewer", "Ada", "--why", "no test").code == 0
    error, _ = refused(shop)
    assert "Ada rejected" in error
    assert "no test" in error
    assert shop.opskit("hotfix", "approve", "--reviewer", "Ada").code == 0
    done = shop.opskit("hotfix", "finish", "--override", "the fixture has no tests")
    assert done.code == 0, done.err
    ran = shop.deploy()
    assert (ran.code, ran.last.get("release")) == (0, "1.1.1"), ran.err


@pytest.mark.slow
def test_an_approval_that_a_reviewer_gave_in_another_clone_counts(
    make_shop: Callable[..., Shop], tmp_path: Path
) -> None:
    shop = make_shop()
    bare = tmp_path / "remote.git"
    shop.git("init", "-q", "--bare", "-b", "main", str(bare))
    shop.git("remote", "add", "origin", str(bare))
    shop.configure(smoke="", require=["approval"])
    config = shop.path / "opskit.toml"
    config.write_text(config.read_text().replace('remote = ""', 'remote = "origin"'))
    sha = shop.commit("v1.1.0")
    shop.git("push", "-q", "origin", "main", "--tags")
    assert "nobody has approved" in refused(shop)[0]
    shop.git("clone", "-q", str(bare), str(tmp_path / "hers"))
    hers = Ledger(Git(tmp_path / "hers"), "origin")
    hers.append("approval", {"sha": sha, "verdict": "approved", "reviewer": "Ada", "why": ""}, subject="approved")
    assert hers.sync().shared
    ran = shop.deploy()
    assert ran.code == 0, ran.err
