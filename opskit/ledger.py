"""The ledger: decisions and summaries, shared and kept for ever, as a chain of commits on `refs/opskit/ledger`.

One event is one commit: its subject reads in plain `git log`, its last line is the event as JSON. The event's id is a
ULID inside it, so that it survives being appended anew when two clones wrote at once. Nothing is written before it
is true; what is about to happen and what came of it are two events.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from opskit.errors import OpskitError, Refused
from opskit.git.refs import Update, is_ancestor
from opskit.git.refs import read as read_refs
from opskit.git.refs import update as update_refs
from opskit.git.remote import PushRefused, Remote
from opskit.git.runner import Git, GitFailed

REF = "refs/opskit/ledger"
FETCHED = "refs/opskit/fetched/ledger"
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TRIES = 50
_REFUSALS = 4  # of one and the same tip, until it is clear that we may not write there


@dataclass(frozen=True, slots=True)
class Event:
    """One entry. `kind` is a noun (`release`, `ci`, `approval`, `deploy`, `rollback`, `incident`, `action` …).

    `at` is RFC 3339 in UTC, `actor` a name, `data` what is particular to the kind; `commit` is where it stands now.
    """

    id: str
    at: str
    kind: str
    data: Mapping[str, Any]
    subject: str = ""
    actor: str = ""
    email: str = field(default="", repr=False)
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Synced:
    """What exchanging the ledger with the remote came to; `said` is a sentence where something could not be done."""

    shared: bool
    fetched: int = 0
    said: str = ""


def ulid(at_s: float | None = None) -> str:
    """A new id: 48 bits of milliseconds, 80 random bits, in Crockford's base 32 (the ULID specification)."""
    at_ms = int((time.time() if at_s is None else at_s) * 1000)
    number = at_ms << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of the repository *git* runs in; *remote* "" = local only; *offline*: not to be tried again."""

    git: Git
    remote: str = ""
    offline: bool = False

    def read(self) -> list[Event]:
        """Every event, oldest first; one git command. Commits that hold no event are left out (see `verify`)."""
        return [event for event in map(_parse, _log(self.git, REF)) if event is not None]

    def append(self, kind: str, data: Mapping[str, Any], *, subject: str, now_s: float | None = None) -> Event:
        """Write an event at the end of the local chain, also while another process does; pushing is `sync`."""
        event = _event(kind, data, subject, now_s)
        for attempt in range(_TRIES):
            tip = _tip(self.git, REF)
            if _moved(self.git, tip, _write(self.git, event, tip)):
                return event
            time.sleep(secrets.randbelow(1 + 10 * attempt) / 1000)  # apart from whoever was faster
        raise Refused("the ledger is being written by others all the time", remedy="try again")

    def pull(self) -> Synced:
        """Fetch what others wrote and join it with what is here; pushes nothing, and never fails."""
        if not self.remote:
            return Synced(shared=False)
        try:
            return Synced(shared=True, fetched=self._join(self._fetch()))
        except OpskitError as fault:
            return Synced(shared=False, said=f"what others wrote to the ledger may be missing: {fault}")

    def sync(self) -> Synced:
        """Fetch what others wrote, append what is only here behind it, push it. Never fails for want of a network."""
        if not self.remote:
            return Synced(shared=False, said="no remote: the ledger is kept here only")
        if self.offline:
            return Synced(shared=False, said="the ledger is kept here only, until opskit ledger sync can share it")
        fetched = 0
        for _ in range(_TRIES):
            try:
                theirs = self._fetch()
            except OpskitError as fault:
                return Synced(shared=False, fetched=fetched, said=f"the ledger is kept here only: {fault}")
            fetched += self._join(theirs)
            tip = _tip(self.git, REF)
            if tip == theirs:
                return Synced(shared=True, fetched=fetched)
            try:
                Remote(self.git, self.remote).push([Update(REF, theirs, tip)])
                self.git.run("update-ref", "-m", "opskit ledger pushed", FETCHED, tip)
                return Synced(shared=True, fetched=fetched)
            except PushRefused as fault:
                if self._fetch() == theirs:  # nobody was faster: we may not write there
                    return Synced(shared=False, fetched=fetched, said=f"the ledger is kept here only: {fault}")
            except OpskitError as fault:
                return Synced(shared=False, fetched=fetched, said=f"the ledger is kept here only: {fault}")
        return Synced(shared=False, fetched=fetched, said="the ledger is kept here: others write it all the time")

    def number(self, kind: str, make: Callable[[str], tuple[Mapping[str, Any], str]], *, prefix: str) -> Event:
        """Append an event of *kind* that carries a number no other one has: `data["number"]`, `data["name"]`.

        *make* gives the event's other data and its subject for a name (`INC-001`). The number is taken when the
        remote accepts it: compare-and-swap by leased push. Out of reach of the remote the name gets a suffix
        (`INC-002-7Q3K`) that it keeps for ever.
        """
        event: Event | None = None
        refusals: dict[str, int] = {}  # by the tip they came at
        for _ in range(_TRIES):
            if self.remote and not self.sync().shared:
                break
            tip, known = _tip(self.git, REF), self.read()
            if event and any(event.id == one.id for one in known):
                return event  # the push whose answer was lost had arrived
            if refusals.get(tip, 0) >= _REFUSALS:
                break  # nobody was faster: we may not write there
            event = _numbered(kind, make, prefix, known, suffix=False)
            written = _write(self.git, event, tip)
            try:
                if self.remote:
                    Remote(self.git, self.remote).push([Update(REF, tip, written)])
            except PushRefused:
                refusals[tip] = refusals.get(tip, 0) + 1
                time.sleep(
                    secrets.randbelow(1 + 10 * refusals[tip]) / 1000
                )  # whoever is faster may still hold its lock
                continue  # the next round looks
            except OpskitError:  # the answer was lost: the next round looks
                continue
            if _moved(self.git, tip, written):
                return event
            if self.remote:  # ours there; another process wrote here meanwhile, and is joined behind it
                self.sync()
                return event
        event = _numbered(kind, make, prefix, self.read(), suffix=True)
        return self.append(kind, event.data, subject=event.subject)

    def verify(self) -> list[str]:
        """What is wrong with the chain, one sentence each; an empty list is a sound ledger."""
        faults: list[str] = []
        seen: dict[str, str] = {}
        for record in _log(self.git, REF):
            short = record.commit[:12]
            if len(record.parents) > 1:
                faults.append(f"{short} is a merge; the ledger is a chain")
            event = _parse(record)
            if event is None:
                faults.append(f"{short} holds no event")
            elif event.id in seen:
                faults.append(f"event {event.id} stands twice: {seen[event.id]} and {short}")
            else:
                seen[event.id] = short
                if len(event.id) != 26 or set(event.id) - set(_CROCKFORD):
                    faults.append(f"{short}: {event.id!r} is no ULID")
        known = (_parse(record) for record in _log(self.git, FETCHED))
        faults += [
            f"event {event.id} was on the remote and is lost here" for event in known if event and event.id not in seen
        ]
        return faults

    def _fetch(self) -> str:
        """The remote's tip, "" if it has none yet, with its objects here."""
        output = self.git.run("ls-remote", "--refs", "--", self.remote, REF, check=False)
        if output.code:
            raise Refused(f"the remote {self.remote} cannot be read: {output.reason}")
        tip = output.out.split(b"\t")[0].decode("ascii")
        if tip and tip != _tip(self.git, FETCHED):
            spec = f"+{REF}:{FETCHED}"
            options = ("--quiet", "--no-write-fetch-head", "--no-tags", "--no-prune", "--refmap=")
            self.git.run("fetch", *options, "--", self.remote, spec)
            return _tip(self.git, FETCHED)
        return tip

    def _join(self, theirs: str) -> int:
        """Make the local chain one that continues *theirs*; returns how many events came from there."""
        for _ in range(_TRIES):
            ours = _tip(self.git, REF)
            if not theirs or ours == theirs:
                return 0
            there = [event for event in map(_parse, _log(self.git, theirs)) if event]
            here = self.read()
            known_here, known_there = {event.id for event in here}, {event.id for event in there}
            tip = theirs
            if ours and is_ancestor(self.git, theirs, ours):
                return 0
            for event in here:
                if event.id not in known_there:
                    tip = _write(self.git, event, tip)
            if _moved(self.git, ours, tip):
                return len(known_there - known_here)
        raise Refused("the ledger is being written by others all the time", remedy="try again")


@dataclass(frozen=True, slots=True)
class _Record:
    commit: str
    parents: tuple[str, ...]
    author: str
    email: str
    message: str


def _log(git: Git, start: str) -> list[_Record]:
    wanted = "%H%n%P%n%an%n%ae%n%B"
    output = git.run("log", "-z", "--reverse", "--topo-order", f"--format={wanted}", start, "--", check=False)
    if output.code:
        return []  # no ledger yet
    records = []
    for block in os.fsdecode(output.out).split("\0"):
        if block:
            commit, parents, author, email, message = block.split("\n", 4)
            records.append(_Record(commit, tuple(parents.split()), author, email, message))
    return records


def _parse(record: _Record) -> Event | None:
    subject, _, body = record.message.strip().partition("\n")
    try:
        found = json.loads(body.rpartition("\n")[2])  # not splitlines(): texts may hold U+2028
        event = Event(found["id"], found["at"], found["kind"], found["data"], subject)
    except (ValueError, LookupError, TypeError):
        return None
    return Event(event.id, event.at, event.kind, event.data, subject, record.author, record.email, record.commit)


def next_number(known: Sequence[Event], kind: str) -> int:
    """One more than the highest number of *kind* among *known*."""
    given = (event.data.get("number") for event in known if event.kind == kind)
    return 1 + max((number for number in given if isinstance(number, int)), default=0)


def _numbered(
    kind: str,
    make: Callable[[str], tuple[Mapping[str, Any], str]],
    prefix: str,
    known: Sequence[Event],
    *,
    suffix: bool,
) -> Event:
    event = _event(kind, {}, "")
    number = next_number(known, kind)
    name = f"{prefix}-{number:03}" + (f"-{event.id[-4:]}" if suffix else "")
    data, subject = make(name)
    return replace(event, data={**data, "number": number, "name": name}, subject=subject)


def _event(kind: str, data: Mapping[str, Any], subject: str, now_s: float | None = None) -> Event:
    now_s = time.time() if now_s is None else now_s
    at = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds")
    return Event(ulid(now_s), at, kind, data, subject)


def _write(git: Git, event: Event, parent: str) -> str:
    """Store the commit of *event* behind *parent* and return its id; moves nothing."""
    body = {"id": event.id, "at": event.at, "kind": event.kind, "data": event.data}
    subject = " ".join(event.subject.split()) or event.kind
    message = f"{subject}\n\n{json.dumps(body, ensure_ascii=False, sort_keys=True)}\n"
    tree = f"{parent}^{{tree}}" if parent else git.text("mktree", stdin=b"")
    parents = ("-p", parent) if parent else ()
    env = {"GIT_AUTHOR_DATE": event.at, "GIT_COMMITTER_DATE": event.at}
    if event.actor:
        env |= {"GIT_AUTHOR_NAME": event.actor, "GIT_AUTHOR_EMAIL": event.email}
    call = ("commit-tree", tree, *parents, "-F", "-")
    try:
        return git.text(*call, stdin=os.fsencode(message), env=env)
    except GitFailed:  # a server where git knows nobody: its own name will do
        user = os.environ.get("USER") or "opskit"
        nobody = {"GIT_AUTHOR_NAME": user, "GIT_AUTHOR_EMAIL": f"{user}@localhost"}
        committer = {"GIT_COMMITTER_NAME": user, "GIT_COMMITTER_EMAIL": f"{user}@localhost"}
        return git.text(*call, stdin=os.fsencode(message), env={**nobody, **committer, **env})


def _tip(git: Git, ref: str) -> str:
    found = read_refs(git, ref)
    return found[ref].id if ref in found else ""


def _moved(git: Git, old: str, new: str) -> bool:
    try:
        update_refs(git, [Update(REF, old, new)], why="opskit ledger")
    except Refused:
        return False
    return True
