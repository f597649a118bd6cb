"""`opskit changelog`: the notes of releases, and which release a commit belongs to."""

import difflib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from opskit.config import Config, load
from opskit.errors import UsageFault
from opskit.git.runner import Git
from opskit.release.changelog import UNRELEASED, Section, render, section, write_all, write_section
from opskit.release.notes import day
from opskit.release.outlook import Outlook, read_outlook
from opskit.release.versions import Release, parse_version
from opskit.report import Report
from opskit.verbs.options import DryRun, Json, Yes

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Unreleased = Annotated[bool, typer.Option("--unreleased", help="What no release contains yet (the default).")]
OfVersion = Annotated[str, typer.Option("--version", metavar="V", help="One release, with or without the tag prefix.")]
All = Annotated[bool, typer.Option("--all", help="Every release, newest first.")]
Write = Annotated[bool, typer.Option("--write", help="Complete the changelog file; every other byte of it stays.")]


@app.callback(invoke_without_command=True)
def changelog(
    context: typer.Context,
    *,
    unreleased: Unreleased = False,
    version: OfVersion = "",
    every: All = False,
    write: Write = False,
    dry_run: DryRun = False,
    yes: Yes = False,  # noqa: ARG001  # every changing command takes it; this one has nothing to ask
    json: Json = False,
) -> None:
    """Print release notes made from the commits, in the form of Keep a Changelog.

    Example: opskit changelog --unreleased --write --dry-run
    """
    if context.invoked_subcommand:
        return
    if unreleased + bool(version) + every > 1:
        raise UsageFault("--unreleased, --version and --all exclude one another", remedy="give one of them")
    report = Report(as_json=json)
    git = Git.discover(Path.cwd(), bare=True)
    config = load(git.directory)
    outlook = read_outlook(git, config)
    sections = _sections(outlook, config, version=version, every=every)
    if write and not config.changelog:
        raise UsageFault('changelog: is "" in the configuration: there is no file to write', remedy="name one there")
    if write:
        _write(report, git.directory / config.changelog, sections, every=every, dry_run=dry_run)
    elif not json:
        sys.stdout.write("\n".join(map(render, sections)))
        sys.stdout.flush()
    left_out = sum(one.left_out for one in sections)
    if left_out:
        commits = "commit" if left_out == 1 else "commits"
        print(f"{left_out} {commits} left out: of other types, or with plain subjects", file=sys.stderr)
    report.result(sections=[one.as_json() for one in sections], left_out=left_out)


@app.command()
def why(
    sha: Annotated[str, typer.Argument(metavar="SHA", help="A commit: its id, abbreviated or not, or any revision.")],
    *,
    json: Json = False,
) -> None:
    """Say which release a commit belongs to, and by what rule.

    Example: opskit changelog why 1a2b3c4
    """
    report = Report(as_json=json)
    git = Git.discover(Path.cwd(), bare=True)
    found = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{sha}^{{commit}}", check=False)
    if found.code:
        raise UsageFault(f"{sha!r} names no commit here", remedy="git log --oneline --all lists them; or: git fetch")
    full = found.out.decode().strip()
    outlook = read_outlook(git, load(git.directory))
    release, reason = outlook.attribution.release_of(full), outlook.attribution.reason(full)
    if release is None:
        coming = full in outlook.history.reachable(*outlook.tips)
        reason += "; the next release will" if coming else "; no branch that the next release is made of has it"
    report.say(f"{full[:10]} {release.version if release else UNRELEASED}: {reason}")
    report.result(sha=full, release=str(release.version) if release else None, reason=reason)


def _sections(outlook: Outlook, config: Config, *, version: str, every: bool) -> list[Section]:
    if not version and not every:
        return [section(UNRELEASED, None, outlook.unreleased)]
    by_release = outlook.attribution.commits_by_release()

    def notes(release: Release) -> Section:
        return section(str(release.version), day(release.made_s), by_release.get(release, ()))

    if version:
        wanted = parse_version(version, prefix=config.tag_prefix)
        release = next((one for one in outlook.releases if one.version == wanted), None)
        if release is None:
            newest = outlook.current
            known = f"the newest is {newest.version}" if newest else "there is none yet"
            raise UsageFault(f"no tag {config.tag_prefix}{wanted} here; {known}", remedy="git tag lists them")
        return [notes(release)]
    shown = [release for release in reversed(outlook.releases) if release.final or release in by_release]
    return [section(UNRELEASED, None, outlook.unreleased), *map(notes, shown)]


def _write(report: Report, file: Path, sections: Sequence[Section], *, every: bool, dry_run: bool) -> None:
    """Write *sections* into *file*, or under *dry_run* print what that would change."""
    before = file.read_bytes() if file.exists() else b""
    after = write_all(before, sections) if every else write_section(before, sections[0])
    if after == before:
        report.say(f"{file.name} says all of it already")
    elif dry_run:
        for line in _diff(before, after, file.name):
            report.say(line)
    else:
        _replace(file, after)
        report.say(f"{file.name} written")


def _diff(before: bytes, after: bytes, name: str) -> list[str]:
    old, new = (content.decode("utf-8", "replace").splitlines() for content in (before, after))
    return list(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", lineterm=""))


def _replace(file: Path, content: bytes) -> None:
    """Write *file* whole or not at all; a link is followed, and the permissions stay."""
    target = file.resolve()
    mode = target.stat().st_mode if target.exists() else None
    handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        if mode is not None:
            Path(scratch).chmod(mode)
        Path(scratch).replace(target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
