"""The control protocol of a host target: what the supervisor is asked and answers, and the client that asks.

One request a connection over `{state_dir}/control.sock` (mode 0600), one JSON object a line:
`{"v": 1, "id": …, "do": "launch", "with": {…}}`, answered by `{"v": 1, "ok": {…}}` or
`{"v": 1, "error": {"kind": …, "what": …, "remedy": …, …}}`. The keeper holds the listening end, so a request made
while the supervisor restarts waits for it; one cut off is asked again under the same id and not done twice.
"""

import contextlib
import json
import os
import secrets
import select
import signal
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from opskit.deploy.sockets import unix_address
from opskit.deploy.wire import decode, encode
from opskit.errors import OpskitError, Refused

PROTOCOL = 1


@dataclass(frozen=True, slots=True)
class Release:
    """A release directory and what is in it; *commit* is the full id."""

    dir: str
    version: str
    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """How to start a release. `{port}` in *command* or a value of *env* asks for a relay.

    *command* is split as a shell would, but no shell runs it; it starts in the release's directory.
    """

    release: Release
    command: str
    env: Mapping[str, str] = field(default_factory=dict)
    path_prepend: tuple[str, ...] = ()
    ready_s: float = 30
    drain_s: float = 5
    health: str = "/readyz"
    alert_command: str = ""  # told of crash loops and failed bakes: one JSON object on its stdin

    @property
    def needs_relay(self) -> bool:
        """True if the service takes a port instead of sockets."""
        return any("{port}" in text for text in (self.command, *self.env.values()))


class ChildState(StrEnum):
    """Where a child is in its life; equal to its name as a string."""

    STARTING = "starting"
    READY = "ready"
    PUBLIC = "public"
    PARKED = "parked"
    DRAINING = "draining"
    CRASH_LOOP = "crash_loop"
    EXITED = "exited"  # a candidate or parked child that ended; those are not restarted


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A release in service, or about to be, or parked; pid 0 while no process runs."""

    release: Release
    pid: int
    state: ChildState
    private_url: str
    started_at: str
    exits: int
    last_exit: str = ""
    bad: str = ""  # why it was left, if a rollback left it


class BakeState(StrEnum):
    """How a bake stands."""

    BAKING = "baking"
    PASSED = "passed"
    FAILED = "failed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What ended a bake badly and what was done. *own*: the release's own fault, not a dependency's."""

    check: str  # health | smoke | crashes
    saw: str
    own: bool
    action: str  # rolled_back | none
    at: str
    release: Release
    restored: Release | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bake:
    """A bake under way, or the last one."""

    id: str
    release: Release
    state: BakeState
    started_at: str
    minutes: float
    remaining_s: float
    checks: int
    note: str = ""  # a dependency's failure that was seen and waited out
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a target runs."""

    target: str
    public_url: str
    up: bool  # False after stop, and before the first cut-over
    running: Child | None
    candidate: Child | None
    parked: Child | None
    bake: Bake | None
    maintenance: bool
    operation: str  # one cut off and not yet completed, "" = none
    keeper_pid: int
    keeper_version: str
    supervisor_pid: int
    supervisor_version: str
    copy: str  # id of the copy of opskit that the supervisor runs
    fault: str = ""  # why the newest state is not on the disk, "" = it is
    last: Release | None = None  # what `start` starts


class LaunchFailed(OpskitError):
    """A candidate did not become ready; it is ended and nothing else changed."""

    def __init__(self, reason: str, *, log_tail: tuple[str, ...] = (), exit_code: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.log_tail, self.exit = reason, log_tail, exit_code


class NotRunning(Refused):
    """No keeper holds the target up."""


class Control:
    """A synchronous client of one target's supervisor. Every call has a deadline; errors are `OpskitError`s."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = Path(state_dir)

    def alive(self) -> bool:
        """True if a keeper holds the target up; the supervisor itself may be restarting.

        Raises `Refused` if this user may not ask.
        """
        try:
            self._connect(timeout_s=1).close()
        except PermissionError as fault:
            raise Refused(
                f"the service in {self.state_dir} is another user's, and this one may not reach it",
                remedy=f"run it as its owner: ls -ld '{self.state_dir}' names them",
            ) from fault
        except OSError:
            return False
        return True

    def status(self) -> Status:
        """What runs now."""
        return decode(Status, self._ask("status"))

    def launch(self, spec: LaunchSpec) -> Child:
        """Start *spec* as the candidate on its private socket; returns when it is ready. Raises LaunchFailed.

        A candidate that is there already is ended first.
        """
        wait_s = spec.ready_s + spec.drain_s + 30
        return decode(Child, self._ask("launch", timeout_s=wait_s, spec=encode(spec)))

    def cut_over(self) -> Status:
        """Give the public socket to the candidate; the running release is parked, an older parked one ended."""
        return decode(Status, self._ask("cut_over"))

    def discard(self) -> None:
        """End the candidate, if there is one."""
        self._ask("discard", timeout_s=120)

    def return_to_parked(self, *, why: str = "") -> Status:
        """Give the public socket back to the parked release; the running one is parked and marked bad with *why*."""
        return decode(Status, self._ask("return_to_parked", why=why))

    def bake(
        self,
        *,
        minutes: float,
        health_every_s: float = 5,
        smoke_command: str = "",
        smoke_every_s: float = 60,
    ) -> None:
        """Have the supervisor watch the running release for *minutes*; see `status().bake`.

        `{url}` in *smoke_command* is the URL to test; it runs in the release's environment. On a failure that the
        parked release does not share, production goes back to it; `status().bake.verdict` and the release's
        `alert_command` tell. A bake under way ends as superseded.
        """
        self._ask(
            "bake",
            minutes=minutes,
            health_every_s=health_every_s,
            smoke_command=smoke_command,
            smoke_every_s=smoke_every_s,
        )

    def end_bake(self, why: str = "superseded") -> None:
        """End a bake under way without a verdict."""
        self._ask("end_bake", why=why)

    def maintenance(self, on: bool) -> Status:
        """While on, the public socket answers 503 with Retry-After and the service is parked."""
        return decode(Status, self._ask("maintenance", on=on))

    def start(self) -> Status:
        """Put the release that ran last into service again. Raises Refused if there is none, LaunchFailed."""
        return decode(Status, self._ask("start", timeout_s=600))

    def restart(self) -> Status:
        """Replace the running release by a fresh process of the same, without downtime. Raises LaunchFailed."""
        return decode(Status, self._ask("restart", timeout_s=600))

    def upgrade(self) -> None:
        """Have keeper and supervisor run the current copy in `state_dir`; children go on. Returns when both do."""
        before = self.status()
        self._ask("upgrade")
        deadline = time.monotonic() + 30
        while (now := self.status()).supervisor_pid == before.supervisor_pid:
            if time.monotonic() > deadline:
                raise Refused(f"the supervisor {now.supervisor_pid} did not restart within 30 s")
            time.sleep(0.05)

    def stop(self, *, take_back: bool = False) -> bool:
        """End service, supervisor and keeper, also what nothing can reach any more; returns when all are gone.

        With *take_back* the next `start` starts what ran before the newest cut-over. False if there was nothing to end.
        """
        from opskit.deploy.supervisor import strays  # imports this module

        try:
            with self._connect(timeout_s=1) as probe:
                keeper = _peer_pid(probe)
        except OSError:
            return strays.end(self.state_dir) > 0
        with contextlib.suppress(ProcessLookupError):
            keeper_fd = os.pidfd_open(keeper)
            try:
                with contextlib.suppress(NotRunning):
                    self._ask("stop", timeout_s=600, take_back=take_back)
                if not select.select([keeper_fd], [], [], 15)[0]:
                    for _ in range(2):  # the second asks the keeper to end everything by itself
                        signal.pidfd_send_signal(keeper_fd, signal.SIGTERM)
                        time.sleep(0.2)
                    select.select([keeper_fd], [], [], 15)
            finally:
                os.close(keeper_fd)
        strays.end(self.state_dir)
        return True

    def _connect(self, *, timeout_s: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout_s)
            with unix_address(self.state_dir / "control.sock") as address:
                connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection

    def _ask(self, verb: str, *, timeout_s: float = 30, **arguments: Any) -> Any:
        request = json.dumps({"v": PROTOCOL, "id": secrets.token_hex(8), "do": verb, "with": arguments}) + "\n"
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = max(deadline - time.monotonic(), 0.1)
            try:
                with self._connect(timeout_s=left_s) as connection:
                    connection.sendall(request.encode())
                    line = connection.makefile("rb").readline()
            except TimeoutError as fault:
                raise Refused(
                    f"the supervisor in {self.state_dir} did not answer {verb} within {timeout_s:g} s",
                    remedy=f"see {self.state_dir}/logs/opskit.err",
                ) from fault
            except (ConnectionResetError, BrokenPipeError):
                line = b""
            except OSError as fault:
                raise NotRunning(
                    f"nothing holds this target up ({self.state_dir}: {fault.strerror})",
                    remedy="start it with `opskit start` or `opskit deploy`",
                ) from fault
            if line.endswith(b"\n"):
                return _answer(json.loads(line))
            if time.monotonic() > deadline:
                raise Refused(f"the supervisor in {self.state_dir} was cut off during {verb}")
            time.sleep(0.05)  # it was killed meanwhile; its successor knows the request by its id


def ensure_running(target: str, state_dir: Path, bind: str, *, upgrade: bool = True) -> Control:
    """Have keeper and supervisor hold *target* up on *bind*, from their own copy in *state_dir*; returns the client.

    What already runs goes on; if its copy of opskit is older than this one it is upgraded, children untouched.
    Raises Refused: the port is taken (naming the holder where visible), *state_dir* not writable, another *bind*.
    """
    from opskit.deploy.supervisor import bringup  # imports this module

    return bringup.ensure_running(target, state_dir, bind, upgrade=upgrade)


def _answer(reply: Mapping[str, Any]) -> Any:
    error = reply.get("error")
    if error is None:
        return reply.get("ok")
    if error["kind"] == "launch_failed":
        raise LaunchFailed(error["what"], log_tail=tuple(error["log_tail"]), exit_code=error["exit"])
    raise Refused(error["what"], remedy=error.get("remedy", ""))


def _peer_pid(connection: socket.socket) -> int:
    """The process that listens on the other end, unix(7) SO_PEERCRED."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[0])
