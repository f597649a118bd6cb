"""Database migrations as steps of a deploy: rehearsed on a restored backup, then done in production.

`schema` is asked with the new release's programs and prints one JSON object: `schema` (what the database has, null for
no database yet), `oldest_compatible` (the oldest schema a release may be built for to serve it) and `release` (what
this release is built for). A migration is pending where `release` is above `schema`; a release below
`oldest_compatible` cannot serve this database. Without `schema`, `migrate` runs at every deploy and must find out for
itself.

`backup` writes to the file `$OPSKIT_BACKUP`, `restore` reads it. In the rehearsal `{state_dir}` is a scratch directory.
Nothing here restores a backup into production: that would lose what was acknowledged since.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opskit.deploy import checks, releases, service
from opskit.deploy.checks import Verdict
from opskit.deploy.context import Context
from opskit.deploy.control import Control, ensure_running
from opskit.deploy.durable import write_atomically
from opskit.deploy.releases import Built
from opskit.deploy.run import CheckFailed, Run
from opskit.deploy.schema import Schema
from opskit.errors import Refused
from opskit.report import Step as Shown

SCHEMA_TIMEOUT_S = 60.0
MIGRATE_TIMEOUT_S = 3600.0


def ask(context: Context, built: Built) -> Schema | None:
    """What the release says of production's database; None where the target has no `schema` command.

    Raises `CheckFailed` if the command fails or prints something else.
    """
    if not context.target.schema:
        return None
    ran = context.run("schema", built, timeout_s=SCHEMA_TIMEOUT_S)
    printed = ran.tail(lines=20)
    if not ran.ok:
        raise CheckFailed(Verdict("schema", False, f"{ran.ending}; it printed: {printed}"))
    for line in reversed(printed.splitlines()):
        try:
            said = json.loads(line)
            at = said["schema"]
            return Schema(None if at is None else int(at), int(said["oldest_compatible"]), int(said["release"]))
        except (ValueError, KeyError, TypeError):
            continue
    raise CheckFailed(Verdict("schema", False, f"no line with schema, oldest_compatible and release in: {printed}"))


def forbid_if_left_behind(context: Context, built: Built) -> None:
    """Raise `Refused` if a contract migration makes this release unable to serve the database."""
    said = _remembered(context, built) or ask(context, built)
    if said is not None and said.refuses:
        raise Refused(
            f"{built.version} is built for schema {said.release}, but a contract migration made "
            f"{said.oldest_compatible} the oldest that can serve this database (now {said.database})",
            remedy="fix forward instead: opskit hotfix start; a backup is never restored by itself",
        )


def backup(run: Run, shown: Shown) -> None:
    """Back production up, if a migration is pending."""
    if not _pending(run, shown):
        return
    place = run.context.layout.backups
    place.mkdir(mode=0o700, exist_ok=True)
    _command(run.context, "backup", run.release, env={"OPSKIT_BACKUP": str(_backup_path(run))})
    kept = sorted(place.iterdir(), key=lambda path: path.stat().st_mtime)
    for old in kept[: -run.context.target.keep]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    shown.detail = str(_backup_path(run))


def rehearse(run: Run, shown: Shown) -> None:
    """Restore the backup into a scratch directory, migrate it there, and smoke both releases on it."""
    if not _pending(run, shown):
        return
    context, before = run.context, run.before
    with _scratch(context) as scratch:
        env = {"OPSKIT_BACKUP": str(_backup_path(run))}
        _command(context, "restore", run.release, env=env, state_dir=scratch)
        _command(context, "migrate", run.release, state_dir=scratch)
        running = releases.read(Path(before.release.dir)) if before else None
        for built in (running, run.release):
            if built is not None:
                _smoke_in(scratch, context, built)
    shown.detail = (
        "the running and the new release serve the migrated data" if before else "it serves the migrated data"
    )


def migrate(run: Run, shown: Shown) -> None:
    """Migrate production, if a migration is pending."""
    if not _pending(run, shown):
        return
    _command(run.context, "migrate", run.release)
    said = ask(run.context, run.release)
    if said is not None:
        _remember(run.context, run.release, said)
    run.migrated = bool(run.context.target.schema)  # without it nobody knows whether anything was pending


def _pending(run: Run, shown: Shown) -> bool:
    """Is a migration pending? Asked once in a deploy; also refuses a release that the schema has left behind."""
    if run.schema is None:
        run.schema = said = ask(run.context, run.release)
        if said is not None:
            _remember(run.context, run.release, said)
            forbid_if_left_behind(run.context, run.release)
    said = run.schema
    if said is None or said.pending:
        return True
    at = "there is no database yet" if said.database is None else f"the database has schema {said.database}"
    shown.status, shown.detail = "skipped", at
    return False


def _remember(context: Context, built: Built, said: Schema) -> None:
    """Keep what was said, so that a rollback need not start the older release's programs to ask."""
    known = _read_memory(context)
    known["releases"] = {**known.get("releases", {}), built.name: said.release}
    known |= {"schema": said.database, "oldest_compatible": said.oldest_compatible}
    write_atomically(context.layout.schemas, json.dumps(known).encode())


def _remembered(context: Context, built: Built) -> Schema | None:
    known = _read_memory(context)
    built_for = known.get("releases", {}).get(built.name)
    if built_for is None or not context.target.schema:
        return None
    return Schema(known["schema"], known["oldest_compatible"], built_for)


def _read_memory(context: Context) -> dict[str, Any]:
    try:
        known = json.loads(context.layout.schemas.read_bytes())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _command(
    context: Context, key: str, built: Built, *, env: dict[str, str] | None = None, state_dir: Path | None = None
) -> None:
    ran = context.run(key, built, timeout_s=MIGRATE_TIMEOUT_S, env=env, state_dir=state_dir)
    if not ran.ok:
        where = " in the rehearsal" if state_dir else ""
        raise CheckFailed(Verdict(f"{key}{where}", False, f"{ran.ending}; the end of {ran.log}:\n{ran.tail()}"))


def _backup_path(run: Run) -> Path:
    return run.context.layout.backups / f"{run.intent.id}.backup"


@contextmanager
def _scratch(context: Context) -> Iterator[Path]:
    scratch = context.layout.scratch
    Control(scratch).stop()  # one that a killed deploy left
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    try:
        yield scratch
    finally:
        Control(scratch).stop()
        shutil.rmtree(scratch, ignore_errors=True)


def _smoke_in(scratch: Path, context: Context, built: Built) -> None:
    """Start *built* on the scratch data, behind a keeper of its own, and smoke it."""
    control = ensure_running(f"{context.name}-scratch", scratch, "127.0.0.1:0")
    child = control.launch(service.launch_spec(context, built, state_dir=scratch))
    gone = service.died(control, child, public=False)
    verdict = service.check_smoke(context, built, child.private_url, given_up=gone)
    control.discard()
    if not verdict.ok:
        saw = f"{built.version} on the migrated data: {verdict.saw}"
        raise CheckFailed(checks.Verdict("smoke in the rehearsal", False, saw))
