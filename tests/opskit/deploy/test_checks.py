"""What a check says it saw."""

from collections.abc import Iterator

import pytest

from opskit.deploy import checks
from opskit.deploy.checks import Verdict, persistently, smoke_summary

SMOKE = """\
✓ it is alive (GET /healthz)  3 ms
✗ a room named cafe-☕ <nonce>  12 ms
    wanted delivered, saw 500 internal
✗ who comes and goes is seen  5013 ms
    saw nothing
smoke: RED, 1 passed, 2 failed
"""


def test_a_red_smoke_is_one_sentence() -> None:
    assert smoke_summary(SMOKE) == "a room named cafe-☕ <nonce>: wanted delivered, saw 500 internal; and 1 more red"
    assert smoke_summary("curl: (7) refused\n") == "curl: (7) refused"
    assert smoke_summary("") == "it printed nothing"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PAUSES_S", (0.0, 0.0))


def seen(*outcomes: bool) -> Iterator[Verdict]:
    return iter([Verdict("health", ok, "200" if ok else "503") for ok in outcomes])


@pytest.mark.parametrize(
    ("outcomes", "ok", "tries"),
    [((True,), True, 1), ((False, True), True, 2), ((False, False, True), True, 3), ((False,) * 3, False, 3)],
)
def test_a_bad_check_is_tried_again_before_it_is_believed(outcomes: tuple[bool, ...], ok: bool, tries: int) -> None:
    attempts = seen(*outcomes)
    verdict = persistently(lambda: next(attempts), given_up=lambda: "")
    assert (verdict.ok, verdict.tries) == (ok, tries)


def test_a_process_that_died_is_not_excused_by_its_successor() -> None:
    attempts = seen(True)
    verdict = persistently(lambda: next(attempts), given_up=lambda: "the process 7 ended (exited with 139)")
    assert (verdict.ok, verdict.saw) == (False, "the process 7 ended (exited with 139)")
