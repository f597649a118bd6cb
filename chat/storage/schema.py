"""Which schema a database has, whether this release can use it, and how it is made and migrated."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

SCHEMA = 1
"""The schema that this release's migrations lead to."""

NEEDS = 1
"""The oldest schema that this release can serve."""

MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaFault(Exception):
    """A database that this release cannot serve; the sentence says the remedy."""


class SchemaTooOld(SchemaFault):
    """The database has not been migrated yet."""

    def __init__(self, path: Path, stored: int) -> None:
        self.path, self.stored = path, stored

    def __str__(self) -> str:
        return f"{self.path} has schema {self.stored}, this release needs {NEEDS}: run `chat migrate`"


class SchemaTooNew(SchemaFault):
    """A newer release has contracted the schema."""

    def __init__(self, path: Path, oldest_compatible: int) -> None:
        self.path, self.oldest_compatible = path, oldest_compatible

    def __str__(self) -> str:
        return (
            f"{self.path} can only be served by releases with schema {self.oldest_compatible} or newer, "
            f"this one has {SCHEMA}: use a newer release"
        )


class NotOurs(SchemaFault):
    """A file that is no database of this product, or a damaged one."""

    def __init__(self, path: Path, cause: object) -> None:
        self.path, self.cause = path, cause

    def __str__(self) -> str:
        return f"{self.path} cannot be used ({self.cause}): restore a backup with `chat restore`, or name another file"


class CannotOpen(SchemaFault):
    """The file cannot be read or written, whatever is in it."""

    def __init__(self, path: Path, cause: object) -> None:
        self.path, self.cause = path, cause

    def __str__(self) -> str:
        return (
            f"{self.path} cannot be opened ({self.cause}): check that this user may write the file and its directory, "
            "and that there is room on the disk"
        )


class InUse(SchemaFault):
    """A server, or a restore, has the database."""

    def __init__(self, path: Path, holder: str) -> None:
        self.path, self.holder = path, holder

    def __str__(self) -> str:
        return f"{self.path} is in use: {self.holder}"


_NOT_ABOUT_CONTENT = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_AUTH,
}


def fault_of(path: Path, fault: BaseException | None) -> SchemaFault:
    """What a fault of SQLite at opening means to the one who has to mend it."""
    code = getattr(fault, "sqlite_errorcode", None)
    about_file = code is not None and code & 0xFF in _NOT_ABOUT_CONTENT
    return CannotOpen(path, fault) if about_file else NotOurs(path, fault)


class Version(NamedTuple):
    """What a database says of itself."""

    schema: int
    oldest_compatible: int
    epoch: str


def path_of(database_url: str) -> Path:
    """The file of a `sqlite:///…` URL."""
    return Path(unquote(database_url.removeprefix("sqlite:///").partition("?")[0]))


def url_of(path: Path) -> str:
    """The URL of a file, whatever characters its path has."""
    return f"sqlite:///{quote(str(path))}"


def version(path: Path) -> Version | None:
    """Read what *path* says; None where there is no database yet. Raises `NotOurs`."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with closing(sqlite3.connect(path, timeout=10)) as database:
            return version_in(database)
    except (sqlite3.Error, KeyError, ValueError) as fault:
        raise fault_of(path, fault) from fault


def version_in(database: sqlite3.Connection) -> Version | None:
    """As `version`, from an open connection; None for an empty database."""
    if database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
        return None
    said = dict(database.execute("SELECT key, value FROM meta").fetchall())
    return Version(int(said["schema"]), int(said["oldest_compatible"]), said["epoch"])


def judge(path: Path, stored: Version) -> None:
    """Refuse what this release cannot serve: `SchemaTooOld`, `SchemaTooNew`."""
    if stored.schema < NEEDS:
        raise SchemaTooOld(path, stored.schema)
    if stored.oldest_compatible > SCHEMA:
        raise SchemaTooNew(path, stored.oldest_compatible)


def prepare(path: Path) -> Version:
    """Make a new database where there is none, never migrate an existing one; return what it is.

    Two processes may do this at once. Raises `SchemaFault`, `OSError`.
    """
    stored = version(path)
    if stored is None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        stored = migrate(path, only_new=True)
    judge(path, stored)
    return stored


def migrate(path: Path, *, only_new: bool = False) -> Version:
    """Bring *path* to this release's schema, in one transaction per step; return what it then is.

    Raises `SchemaFault`, `OSError`. Nothing is done to a database that is newer already.
    """
    with _alone(path):
        stored = version(path)
        if stored is None or (stored.schema < SCHEMA and not only_new):
            if stored is None:
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            _upgrade(path)
            stored = version(path)
        if stored is None:
            raise NotOurs(path, "the migration left it empty")
        return stored


def _upgrade(path: Path) -> None:
    from alembic import command  # slow to load, and seldom needed
    from alembic.config import Config
    from sqlalchemy.exc import DatabaseError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["path"] = path
    try:
        command.upgrade(config, "head")
    except DatabaseError as fault:
        raise fault_of(path, fault.orig) from fault


@contextmanager
def serving(path: Path) -> Iterator[None]:
    """Keep the database from being replaced while this process serves it. Raises `InUse` during a restore."""
    with _lock_file(path, "in-use").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise InUse(path, "a restore is under way; start again when it is done") from fault
        yield


@contextmanager
def stopped(path: Path) -> Iterator[None]:
    """Have the database alone, to replace it. Raises `InUse` while a server runs."""
    with _lock_file(path, "in-use").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise InUse(path, "a server is running on it; stop it first") from fault
        yield


def _lock_file(path: Path, name: str) -> Path:
    return path.with_name(f"{path.name}.{name}-lock")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from migrating the same database meanwhile."""
    with _lock_file(path, "migrate").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
