"""Recorded benchmarks: figures are compared one by one, whichever run measured them last."""

from pathlib import Path

from loadtests.bench.record import keep, last_recorded
from loadtests.bench.table import Better, Figure, as_lines, regressions


def _keep(folder: Path, at: str, **values: float) -> None:
    keep(folder, [Figure(name, value, Better.LOWER) for name, value in values.items()], at=at, notes=[], before={})


def test_a_figure_is_compared_with_the_last_run_that_measured_it(tmp_path: Path) -> None:
    _keep(tmp_path, "20260101T000000Z", idle=40, storm=5)
    _keep(tmp_path, "20260102T000000Z", storm=6)
    _keep(tmp_path, "20260103T000000Z", fanout=1)
    found = last_recorded(tmp_path)
    assert {name: (one.value, one.at[:8]) for name, one in found.items()} == {
        "idle": (40, "20260101"),
        "storm": (6, "20260102"),
        "fanout": (1, "20260103"),
    }


def test_what_is_no_record_is_passed_over(tmp_path: Path) -> None:
    _keep(tmp_path, "20260101T000000Z", idle=40)
    (tmp_path / "20260102T000000Z.json").write_text('{"figures": {')
    (tmp_path / "20260103T000000Z.json").write_text('{"shape": "steady"}')
    (tmp_path / "20260104T000000Z.json").write_text("[]")
    assert list(last_recorded(tmp_path)) == ["idle"]


def test_only_a_loss_beyond_noise_is_a_regression_in_the_direction_that_counts() -> None:
    before = {"wait_ms": 100.0, "per_s": 100.0, "steady_ms": 100.0}
    found = [
        Figure("wait_ms", 116, Better.LOWER),
        Figure("per_s", 84, Better.HIGHER),
        Figure("steady_ms", 114, Better.LOWER),
        Figure("new_ms", 900, Better.LOWER),
    ]
    assert [figure.name for figure in regressions(found, before)] == ["wait_ms", "per_s"]
    assert ["regression" in line for line in as_lines(found, before)] == [True, True, False, False]


def test_the_page_has_every_figure_and_a_bar_where_there_is_a_goal(tmp_path: Path) -> None:
    figures = [Figure("with_goal", 2, Better.LOWER, 4), Figure("<without>", 2, Better.LOWER)]
    _, page = keep(tmp_path, figures, at="20260101T000000Z", notes=["a & b"], before={})
    text = page.read_text("utf-8")
    assert text.count("height:14px") == 1
    assert "&lt;without&gt;" in text
    assert "a &amp; b" in text
