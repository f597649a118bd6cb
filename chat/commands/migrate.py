"""`chat migrate`: bring the database to this release's schema."""

from chat.commands.options import DatabaseUrl, DataDir, settings_of, told
from chat.storage.schema import SchemaFault, judge, migrate, path_of


def run(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the database to this release's schema; make it if there is none."""
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    path = path_of(settings.database_url)
    with told(SchemaFault):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        version = migrate(path)
        judge(path, version)
    print(f"{path}: schema {version.schema}, usable by releases from schema {version.oldest_compatible} on")
