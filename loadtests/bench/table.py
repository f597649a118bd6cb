"""The table of benchmarks: what is measured, what it should reach, how it is kept and compared to the run before."""

from dataclasses import dataclass
from enum import Enum


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

    def worse_than(self, before: float, *, by: float = 0.15) -> bool:
        """Whether it lost more than the share *by* to *before*; the machines are noisy, so less says nothing."""
        if before <= 0:
            return False
        change = self.value / before - 1
        return change > by if self.better is Better.LOWER else -change > by


def as_rows(figures: list[Figure], before: dict[str, float]) -> list[tuple[str, str, str, str, str]]:
    """Rows for people: name, value, goal, verdict, change since the run before."""
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


def as_html(figures: list[Figure], notes: list[str]) -> str:
    """A page with a bar per figure that has a goal: how far along it is, full is reached."""
    bars = []
    for figure in figures:
        if figure.goal is None or not figure.value:
            continue
        share = figure.goal / figure.value if figure.better is Better.LOWER else figure.value / figure.goal
        colour = "#2f855a" if figure.reached else "#c05621"
        bars.append(
            f"<tr><td>{figure.name}</td><td>{figure.value:,.2f}</td><td>{figure.better.value} {figure.goal:g}</td>"
            f'<td><div style="width:{min(share, 2) * 150:.0f}px;background:{colour};height:14px"></div></td></tr>'
        )
    listed = "".join(f"<li>{note}</li>" for note in notes)
    return (
        '<!doctype html><meta charset="utf-8"><title>Benchmarks</title><style>body{font:14px system-ui;margin:2em}'
        "td{padding:3px 12px}</style><h1>Benchmarks</h1><p>A bar of 150 px is the goal; longer is better.</p>"
        f"<table>{''.join(bars)}</table><ul>{listed}</ul>\n"
    )
