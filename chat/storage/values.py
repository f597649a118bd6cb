"""Many rows as the parameters of one statement: SQL's `VALUES`, of few different heights."""

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

from chat.storage.connection import Statement


def with_rows(template: str, rows: Sequence[tuple[Any, ...]]) -> Statement:
    """*template* with *rows* (at least one) at `{rows}`, where their columns are called `column1` and so on.

    Rows of NULL are added up to a power of two, so that a batch finds its statement prepared; *template* must not mind
    them. SQLite would take half as long again to read the same from JSON.
    """
    width, height = len(rows[0]), 1 << (len(rows) - 1).bit_length()
    parameters = [*chain.from_iterable(rows), *[None] * (width * (height - len(rows)))]
    return _sql(template, width, height), parameters


@cache
def _sql(template: str, width: int, height: int) -> str:
    row = f"({', '.join('?' * width)})"
    return template.format(rows=f"(VALUES {', '.join([row] * height)})")
