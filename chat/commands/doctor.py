"""`chat doctor`: find what does not hold in the data, and mend it."""

import asyncio
from typing import Annotated

import typer

from chat.auth import keys
from chat.commands.options import DatabaseUrl, DataDir, settings_of, told
from chat.settings import Settings
from chat.storage import doctor
from chat.storage.schema import SchemaFault, path_of
from chat.storage.store import Store
from chat.web.hardening import capture


def run(
    repair: Annotated[bool, typer.Option("--repair", help="mend what can be mended without losing anything")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Check that numbers are dense, cursors and counts right, names and keys sound, and nothing orphaned.

    And that the installed server still has what the hardening hooks into. May run beside a server.
    Exit code 0: all holds; 1: something does not.

    Example: chat doctor --repair --data-dir ./data
    """
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    misfits = capture.faults()
    for misfit in misfits:
        print(f"stack: {misfit}; install what requirements.lock names")
    with told(SchemaFault, keys.KeysFault):
        path = path_of(settings.database_url)
        if not path.exists():
            raise FileNotFoundError(f"there is no database at {path}")
        keys.read(settings.data_dir / keys.FILE_NAME)
        left = asyncio.run(_examine(settings, repair=repair))
    if left or misfits:
        mendable = sum(finding.mendable for finding in left)
        hint = f"; `chat doctor --repair` mends {mendable}" if mendable and not repair else ""
        print(f"{len(left) + len(misfits)} found{hint}")
        raise typer.Exit(1)
    print("all holds")


async def _examine(settings: Settings, *, repair: bool) -> list[doctor.Finding]:
    async with Store.open(settings.database_url) as store:
        found = await doctor.examine(store.readers)
        for finding in found:
            print(f"{finding.check}: {finding.what}")
        if repair and any(finding.mendable for finding in found):
            for line in await store.writer.submit(doctor.repair, None):
                print(f"mended: {line}")
            return await doctor.examine(store.readers)
        return found
