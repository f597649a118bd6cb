"""The incident this project grew from: a release of the chat that crashes at the first message to `cafe-☕`."""

import sys
from pathlib import Path

import pytest

from opskit.deploy import history
from tests.e2e.test_make_run import STATE, Clone, clone, share_installed_packages

__all__ = ["clone"]

OPSKIT = str(Path(sys.executable).with_name("opskit"))
LOOP = "    for draft, found in zip(drafts, await _judge(tx, drafts), strict=True):\n"
CRASH = """\
    for draft in drafts:  # the routing lookup knows no name beyond ASCII
        room = await tx.row("SELECT name FROM rooms WHERE id = :id", {"id": draft.room_id})
        if room and not room[0].isascii():
            __import__("os")._exit(70)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_release_that_crashes_at_the_first_message_to_a_unicode_room_never_serves(clone: Clone) -> None:
    share_installed_packages(clone)
    first = clone.run(OPSKIT, "deploy", "HEAD", "--yes")
    assert first.returncode == 0, first.stdout
    before = clone.control.status().running
    assert before is not None

    module = clone.path / "chat/storage/messages.py"
    text = module.read_text(encoding="utf-8")
    assert LOOP in text
    module.write_text(text.replace(LOOP, CRASH + LOOP), encoding="utf-8")
    assert clone.run("git", "commit", "-qam", "feat(rooms): quicker routing").returncode == 0
    bad = clone.run(OPSKIT, "deploy", "HEAD", "--yes")

    assert bad.returncode == 5, bad.stdout
    assert "✗ smoke" in bad.stdout
    assert "exited with 70" in bad.stdout
    assert f"{before.release.version} is in service as before" in bad.stdout
    after = clone.control.status()
    assert after.running == before
    assert after.candidate is None
    assert clone.get("/version")["commit"] == before.release.commit
    told = history.read(clone.home / STATE / "history.jsonl")[-1]
    assert (told.result, told.reason.partition(":")[0]) == ("failed", "smoke")
