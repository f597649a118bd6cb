"""Runs the migrations on the file that `chat.storage.schema` names."""

import sqlite3
from pathlib import Path

from alembic import context
from sqlalchemy import URL, Connection, create_engine, event, pool

from chat.storage.tables import metadata


def _run(path: Path) -> None:
    engine = create_engine(URL.create("sqlite", database=str(path)), poolclass=pool.NullPool)

    @event.listens_for(engine, "connect")
    def _manual(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # sqlite3 would commit before DDL; we say BEGIN ourselves
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


_run(context.config.attributes["path"])
