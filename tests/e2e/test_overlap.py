"""Deploy and rollback under people who talk: nobody is lost, and nothing that was acknowledged."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.talkers import Talker, gather_people, history
from tests.e2e.test_make_run import Clone, clone, share_installed_packages

__all__ = ["clone"]

PEOPLE, A_ROOM = 200, 20
OPSKIT = str(Path(sys.executable).with_name("opskit"))


async def call(clone: Clone, *args: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        OPSKIT, *args, cwd=clone.path, env=clone.env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(600)
async def test_two_hundred_people_talk_through_a_deploy_and_a_rollback(clone: Clone) -> None:
    share_installed_packages(clone)
    project = clone.path / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    quick = text.replace(
        "env = { CHAT_DATA_DIR", 'env = { CHAT_BCRYPT_COST = "4", CHAT_RATE_AUTH_PER_MIN = "0", CHAT_DATA_DIR'
    )
    project.write_text(quick, encoding="utf-8")
    clone.run("git", "commit", "-qam", "test: quick passwords")
    code, out = await call(clone, "deploy", "HEAD", "--yes")
    assert code == 0, out
    talkers = await gather_people(clone.url, people=PEOPLE, a_room=A_ROOM)
    over = asyncio.Event()
    talking = [asyncio.create_task(talker.talk(over)) for talker in talkers]
    await asyncio.sleep(4)  # everybody has said something
    clone.run("git", "commit", "-q", "--allow-empty", "-m", "feat: next")
    for args in (("deploy", "HEAD", "--yes"), ("rollback", "--reason", "a rehearsal")):
        code, out = await call(clone, *args)
        assert code == 0, out
        await asyncio.sleep(9)  # the old one has drained, everybody is back and has talked again
    over.set()
    await asyncio.gather(*talking)
    closes = Counter(code for talker in talkers for code in talker.closes)
    late = max(late for talker in talkers for late in talker.late_s)
    acked = sum(len(talker.acked) for talker in talkers)
    acked_by = {one: release for talker in talkers for one, release in talker.acked.items()}
    crossed = sum(acked_by.get(one, on) != on for talker in talkers for one, on in talker.heard_on.items())
    print(
        f"closes {dict(closes)}; latest back {late:+.2f} s off its window; {acked} acknowledged; {crossed} heard across"
    )
    assert set(closes) == {1012}
    assert closes[1012] == 2 * PEOPLE
    assert [fault for talker in talkers for fault in talker.faults] == []
    assert late < 2
    assert crossed > 0
    for at in range(0, PEOPLE, A_ROOM):
        await assert_room_is_whole(clone, talkers[at : at + A_ROOM])


async def assert_room_is_whole(clone: Clone, members: list[Talker]) -> None:
    stored = await history(clone.url, members[0])
    assert [message["seq"] for message in stored] == list(range(1, len(stored) + 1))
    ids = Counter(message["client_id"] for message in stored)
    assert max(ids.values()) == 1
    for member in members:
        assert set(member.acked) <= set(ids)
        said = [message["client_id"] for message in stored if message["client_id"].startswith(f"{member.name}-")]
        assert said == sorted(said, key=lambda one: int(one.rpartition("-")[2]))
        heard = sorted(member.heard)
        assert heard == list(range(member.first_rev + 1, member.first_rev + 1 + len(heard)))
