"""`chat migrate`: bring the database to this release's schema, or say how the two stand."""

import json
from pathlib import Path
from typing import Annotated

import typer

from chat.commands.options import DatabaseUrl, DataDir, settings_of, told
from chat.storage.schema import SCHEMA, SchemaFault, judge, migrate, path_of, version

Check = Annotated[bool, typer.Option("--check", help="Change nothing; print schema, oldest_compatible and release.")]


def run(data_dir: DataDir = None, database_url: DatabaseUrl = None, *, check: Check = False) -> None:
    """Bring the database to this release's schema; make it if there is none.

    Example: chat migrate --check --data-dir ./data
    """
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    path = path_of(settings.database_url)
    with told(SchemaFault):
        if check:
            print(_standing(path))
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = migrate(path)
        judge(path, made)
    print(f"{path}: schema {made.schema}, usable by releases from schema {made.oldest_compatible} on")


def _standing(path: Path) -> str:
    """One JSON object: what the database has (null: there is none yet), and what this release is built for."""
    found = version(path)
    schema, oldest = (found.schema, found.oldest_compatible) if found else (None, SCHEMA)
    return json.dumps({"schema": schema, "oldest_compatible": oldest, "release": SCHEMA})
