"""`chat backup` and `chat restore`: one archive with the database, a manifest, and on demand the sealed keys."""

import getpass
import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from chat.auth import keys, sealed
from chat.commands.options import DatabaseUrl, DataDir, settings_of, stop, told
from chat.storage import backup
from chat.storage.schema import NEEDS, SchemaFault, path_of

DATABASE, MANIFEST, KEYS = "chat.db", "manifest.json", "keys.sealed"
PASSPHRASE = "CHAT_BACKUP_PASSPHRASE"  # noqa: S105 - the variable's name

PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help=f"file with the passphrase of the keys (or {PASSPHRASE}, or asked)"),
]


class Manifest(msgspec.Struct, kw_only=True):
    """What an archive says it holds."""

    format: int = 1
    made_at: str
    schema: int
    oldest_compatible: int
    epoch: str
    counts: dict[str, int]
    sha256: str
    keys: bool


class BadArchive(Exception):
    """A file that is no archive of ours, or a damaged one."""

    def __init__(self, path: Path, why: object) -> None:
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"{self.path} is no good backup: {self.why}"


_FAULTS = (SchemaFault, keys.KeysFault, sealed.CannotUnseal, sealed.WeakPassphrase, BadArchive)


def make(
    archive: Annotated[Path, typer.Argument(help="the file to write, such as chat-backup.tar.gz")],
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="include the keys, sealed with a passphrase; else keep them yourself")
    ] = False,
    passphrase_file: PassphraseFile = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Write a consistent copy of all data to one file, while the server runs.

    Example: chat backup chat-2026-11-22.tar.gz --with-keys --passphrase-file ./passphrase
    """
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    source = path_of(settings.database_url)
    with told(*_FAULTS):
        if not source.exists():
            stop(f"chat: there is no database at {source}", code=1)
        if refusal := _no_place_for(archive):
            stop(f"chat: {refusal}", code=1)
        secret = None
        if with_keys:
            key_file = settings.data_dir / keys.FILE_NAME
            keys.read(key_file)
            secret = sealed.seal(key_file.read_bytes(), _passphrase(passphrase_file, confirm=True))
        manifest = _write(archive, source, secret)
    held = ", ".join(f"{count} {table}" for table, count in manifest.counts.items())
    print(f"{archive}: {held}; schema {manifest.schema}; made {manifest.made_at}")
    print("keys: included, sealed" if manifest.keys else "keys: not included (--with-keys includes them, sealed)")


def _no_place_for(archive: Path) -> str | None:
    """Why *archive* cannot be written: only a new or empty file, or an earlier backup, is put in its place."""
    if not archive.absolute().parent.is_dir():
        return f"there is no folder {archive.absolute().parent}: make it, or name a file elsewhere"
    if not archive.exists() or (archive.is_file() and (not archive.stat().st_size or tarfile.is_tarfile(archive))):
        return None
    return f"{archive} is there and is no backup, so it is left alone: name another file"


def _write(archive: Path, source: Path, secret: bytes | None) -> Manifest:
    with tempfile.TemporaryDirectory(prefix=".chat-backup-", dir=archive.absolute().parent) as folder:
        copied, draft = Path(folder, DATABASE), Path(folder, "archive")
        contents = backup.copy(source, copied)
        manifest = Manifest(
            made_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            schema=contents.version.schema,
            oldest_compatible=contents.version.oldest_compatible,
            epoch=contents.version.epoch,
            counts=contents.counts,
            sha256=_sha256(copied),
            keys=secret is not None,
        )
        draft.touch(mode=0o600)
        with tarfile.open(draft, "w:gz", compresslevel=6) as tar:
            _add(tar, MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
            if secret is not None:
                _add(tar, KEYS, secret)
            tar.add(copied, DATABASE)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(archive)
    return manifest


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    tar.addfile(member, io.BytesIO(content))


def restore(
    archive: Annotated[Path, typer.Argument(help="a file that `chat backup` wrote")],
    passphrase_file: PassphraseFile = None,
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="have everybody sign in again; else sessions come back as they were")
    ] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Put a backup in the place of the database; what was there is kept beside it. Not while a server runs.

    Example: chat restore chat-2026-11-22.tar.gz --data-dir ./data
    """
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    path, key_file = path_of(settings.database_url), settings.data_dir / keys.FILE_NAME
    with told(*_FAULTS, tarfile.TarError):
        with backup.replaced(path, end_sessions=end_sessions) as draft:
            manifest, secret = _read(archive, draft)
            opened = None if secret is None else sealed.unseal(secret, _passphrase(passphrase_file, confirm=False))
        if opened is not None:
            key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            keys.write(key_file, keys.parse(opened, key_file))
    held = ", ".join(f"{count} {table}" for table, count in manifest.counts.items())
    print(f"{path}: {held}, as of {manifest.made_at}")
    if secret is None and not key_file.exists():
        print(
            f"no keys: put the {keys.FILE_NAME} of this backup's server into {settings.data_dir}, or no password works"
        )
    if manifest.schema < NEEDS:
        print(f"its schema is {manifest.schema}: run `chat migrate` before `chat serve`")


def _read(archive: Path, draft: Path) -> tuple[Manifest, bytes | None]:
    """Put the archive's database at *draft*; return its manifest and the sealed keys, if it has them."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            manifest = msgspec.json.decode(_member(tar, MANIFEST).read(), type=Manifest)
            secret = _member(tar, KEYS).read() if manifest.keys else None
            with draft.open("wb") as target:
                shutil.copyfileobj(_member(tar, DATABASE), target)
                target.flush()
                os.fsync(target.fileno())
    except (tarfile.TarError, msgspec.DecodeError, KeyError, EOFError, OSError) as fault:
        why = fault.strerror if isinstance(fault, OSError) and fault.strerror else fault
        raise BadArchive(archive, why) from fault
    if manifest.format != 1 or _sha256(draft) != manifest.sha256:
        raise BadArchive(archive, "its database is not the one that its manifest names")
    return manifest, secret


def _member(tar: tarfile.TarFile, name: str) -> BinaryIO:
    found = tar.extractfile(name)
    if found is None:
        raise KeyError(name)
    return found  # type: ignore[return-value]  # tarfile types it IO[bytes]


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8").strip("\n")
    if said := os.environ.get(PASSPHRASE):
        return said
    if not sys.stdin.isatty():
        stop(f"chat: name the passphrase's file with --passphrase-file, or set {PASSPHRASE}", code=2)
    first = getpass.getpass("Passphrase for the keys: ")
    if confirm and getpass.getpass("Again: ") != first:
        stop("chat: the two differ", code=1)
    return first


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
