"""Recorded runs: one JSON file each in a folder, and what was recorded last of each figure in any of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.bench.table import Figure, as_html


@dataclass(frozen=True, slots=True)
class Recorded:
    """A figure's value, and the stamp of the run that measured it."""

    value: float
    at: str


def last_recorded(folder: Path) -> dict[str, Recorded]:
    """Each figure's newest value; a run may have measured few of them, so the newest file is not enough.

    A file that is not a run's record is passed over.
    """
    found: dict[str, Recorded] = {}
    for file in sorted(folder.glob("*.json")):
        try:
            run: Any = json.loads(file.read_text("utf-8"))
            values = {str(name): Recorded(float(value), str(run["at"])) for name, value in run["figures"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        found |= values
    return found


def keep(
    folder: Path, figures: list[Figure], *, at: str, notes: list[str], before: Mapping[str, Recorded]
) -> tuple[Path, Path]:
    """Write the run that ended *at*: its raw figures and a page with a plot; returns both files."""
    folder.mkdir(exist_ok=True)
    raw, plot = folder / f"{at}.json", folder / f"{at}.html"
    run = {"at": at, "notes": notes, "figures": {figure.name: figure.value for figure in figures}}
    raw.write_text(json.dumps(run, indent=1, ensure_ascii=False), encoding="utf-8")
    plot.write_text(as_html(figures, notes, before={name: one.value for name, one in before.items()}), encoding="utf-8")
    return raw, plot
