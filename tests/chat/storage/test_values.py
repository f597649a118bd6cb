"""Rows as parameters: they come as given, and batches of all sizes share a few statements."""

import sqlite3
from contextlib import closing

from chat.storage.values import with_rows


def test_batches_of_all_sizes_come_as_given_in_a_few_statements() -> None:
    statements = set()
    with closing(sqlite3.connect(":memory:")) as connection:
        for count in range(1, 130):
            rows = [(n, f"☕ {n}", None) for n in range(count)]
            sql, parameters = with_rows("SELECT * FROM {rows} WHERE column1 IS NOT NULL", rows)
            assert connection.execute(sql, parameters).fetchall() == rows
            statements.add(sql)
    assert len(statements) == 9
