"""The table of benchmarks: what is measured, what it should reach, how it compares to what was recorded before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from html import escape

NOISE_SHARE = 0.15  # the machines are noisy: a loss of less says nothing


class Better(Enum):
    """Which way a figure should go."""

    LOWER = "≤"
    HIGHER = "≥"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure: its name (`group.what_unit`), its value, and what it should reach if that is said."""

    name: str
    value: float
    better: Better
    goal: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether it is as good as its goal; None without one."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.better is Better.LOWER else self.value >= self.goal

    def worse_than(self, before: float, *, by: float = NOISE_SHARE) -> bool:
        """Whether it lost more than the share *by* to *before*."""
        if before <= 0:
            return False
        change = self.value / before - 1
        return change > by if self.better is Better.LOWER else -change > by


def regressions(figures: Iterable[Figure], before: Mapping[str, float]) -> list[Figure]:
    """The figures that are worse than *before* by more than noise."""
    return [figure for figure in figures if figure.name in before and figure.worse_than(before[figure.name])]


def as_rows(figures: Iterable[Figure], before: Mapping[str, float]) -> list[tuple[str, str, str, str, str]]:
    """Rows for people: name, value, goal, verdict, change since it was recorded last."""
    rows = []
    for figure in figures:
        goal = f"{figure.better.value} {figure.goal:g}" if figure.goal is not None else ""
        verdict = {None: "", True: "✓", False: "✗"}[figure.reached]
        old = before.get(figure.name)
        change = f"{(figure.value / old - 1) * 100:+.0f} %" if old else ""
        if old and figure.worse_than(old):
            change += "  regression"
        rows.append((figure.name, f"{figure.value:,.2f}", goal, verdict, change))
    return rows


def as_lines(figures: Iterable[Figure], before: Mapping[str, float]) -> list[str]:
    """The rows as lines of text."""
    return [
        f"{name:<36}{value:>14}  {goal:<10}{verdict:<3}{change}".rstrip()
        for name, value, goal, verdict, change in as_rows(figures, before)
    ]


def as_html(figures: Iterable[Figure], notes: Iterable[str], *, before: Mapping[str, float] | None = None) -> str:
    """A page with every figure, and a bar for each that has a goal: how far along it is, full is reached."""
    figures = list(figures)
    rows = []
    for figure, cells in zip(figures, as_rows(figures, before or {}), strict=True):
        bar = ""
        if figure.goal is not None and figure.value:
            share = figure.goal / figure.value if figure.better is Better.LOWER else figure.value / figure.goal
            colour = "#2f855a" if figure.reached else "#c05621"
            bar = f'<div style="width:{min(share, 2) * 150:.0f}px;background:{colour};height:14px"></div>'
        rows.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}<td>{bar}</td></tr>")
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (
        '<!doctype html><meta charset="utf-8"><title>Benchmarks</title><style>body{font:14px system-ui;margin:2em}'
        "td{padding:3px 12px}</style><h1>Benchmarks</h1><p>A bar of 150 px is the goal; longer is better.</p>"
        f"<table>{''.join(rows)}</table><ul>{listed}</ul>\n"
    )
