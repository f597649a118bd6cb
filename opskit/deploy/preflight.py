"""Before a deploy: may it, and can it. Nothing is changed, and everything wrong is told at once."""

import errno
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

from opskit import alerts
from opskit.deploy import freeze, requirements, sockets, source
from opskit.deploy.context import Context
from opskit.deploy.control import Control
from opskit.deploy.source import Source
from opskit.deploy.supervisor import strays
from opskit.errors import Refused

SPARE_BYTES = 32 * 1024 * 1024  # logs, journal, and what the service writes while it starts
TREE_FACTOR = 3  # the tree as an archive, unpacked, and what build adds


def check(context: Context, wanted: Source, *, break_glass: str, fetch: bool = True) -> list[str]:
    """Raise `Refused` with all that stands in the way; *break_glass* passes freeze windows and `require`.

    With *fetch* the ledger is brought up to what others have written.

    Returns what was passed that way, for the record.
    """
    rules = [*_frozen(context), *requirements.unmet(context, wanted, fetch=fetch)]
    blocks = [*_disk(context, wanted), *_address(context)]
    if not break_glass:
        blocks = rules + blocks
    if blocks:
        remedies = [remedy for _, remedy in blocks]
        if rules and not break_glass:
            remedies.append('in an emergency: --break-glass "why", which is recorded')
        raise Refused("; ".join(what for what, _ in blocks), remedy="; ".join(remedies))
    return [what for what, _ in rules]


def warnings(context: Context) -> list[str]:
    """What keeps no deploy from going on but should be mended: alerts that nobody would get."""
    found = alerts.faults(context.target.alerts, environ=os.environ)
    return [f"targets.{context.name}.{fault}" for fault in found]


def _frozen(context: Context) -> Iterator[tuple[str, str]]:
    hit = freeze.frozen_until(map(freeze.parse, context.target.freeze), datetime.now(UTC))
    if hit:
        window, until = hit
        yield (
            f'target {context.name} is frozen by "{window.text}" until {until.isoformat(timespec="minutes")}',
            "wait until then",
        )


def _disk(context: Context, wanted: Source) -> Iterator[tuple[str, str]]:
    place = context.layout.state_dir
    usage = shutil.disk_usage(next(parent for parent in (place, *place.parents) if parent.exists()))
    needed = TREE_FACTOR * source.tree_bytes(context.git, wanted.commit) + SPARE_BYTES
    if usage.free < needed:
        yield (
            f"the disk of {place} has {usage.free // 2**20} MiB free, a deploy needs {needed // 2**20 + 1} MiB",
            f"make room there, or set a lower keep than {context.target.keep} for this target",
        )


def _address(context: Context) -> Iterator[tuple[str, str]]:
    """The public address must be free, unless this target's own keeper holds it."""
    bind = context.target.bind
    control = Control(context.layout.state_dir)
    if control.alive():
        held = control.status().public_url
        _, port = sockets.parse_bind(bind)
        if port and not held.endswith(f":{port}"):
            yield f"{context.name} listens on {held}, but bind says {bind}", "opskit stop, then deploy again"
        return
    try:
        sockets.listen(bind).close()
    except OSError as fault:
        holder = sockets.holder_of(bind)
        who = f" by process {holder}" if holder else ""
        what = f"is taken{who}" if fault.errno == errno.EADDRINUSE else f"cannot be bound ({fault.strerror})"
        own = holder in strays.of(context.layout.state_dir)
        theirs = f"end what listens there, or set another bind for target {context.name}"
        remedy = f"end it with opskit stop --target {context.name}, then deploy again" if own else theirs
        yield f"the address {bind} {what}", remedy
