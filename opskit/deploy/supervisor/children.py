"""Running processes, one per slot: start, adopt, signal, stop ladder; each exit is reported once."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from opskit.deploy.control import ChildState
from opskit.deploy.keeper import command
from opskit.deploy.relay import RELAY, order
from opskit.deploy.sockets import listen
from opskit.deploy.supervisor import process
from opskit.deploy.supervisor.link import Held, Link
from opskit.deploy.supervisor.logs import Output, ServiceLog, pipe
from opskit.deploy.supervisor.state import Slot

STOP_MARGIN_S = 2.0  # beyond drain_s before the stack dump
DUMP_S = 1.5  # between the stack dump and the kill
KILL_S = 5.0  # for the kernel to end it
_UNSURE_S = 0.5  # a signal due so shortly before this supervisor began may not have been sent
_KEEPER_REPORTS_S = 0.05  # an orphan's exit code comes from the keeper, a moment after its end is seen
_NAMES = ("pid", "log", "private")


@dataclass(slots=True)
class Live:
    """A process this supervisor watches."""

    slot: Slot
    pidfd: int
    output: Output
    ended: asyncio.Event


class Children:
    """Every process of this target's releases, by instance number."""

    def __init__(self, target: str, state_dir: Path, link: Link, log: ServiceLog, *, public: int, notify: str) -> None:
        self.target, self.state_dir, self.link, self.log = target, state_dir, link, log
        self.public, self.notify = public, notify
        self.live: dict[int, Live] = {}
        self.tails: dict[int, tuple[str, ...]] = {}  # of the newest that ended
        self.orphan_exits: dict[int, int] = {}
        self.on_exit: Callable[[Slot, int | None], None] = lambda _slot, _code: None

    def mark(self, instance: int) -> str:
        """What marks this instance's processes in their environment."""
        return process.instance_mark(self.state_dir, instance)

    def start(self, slot: Slot) -> None:
        """Start the process of *slot*, whose fresh `instance` is already saved. Raises OSError, ValueError."""
        spec, number = slot.spec, slot.instance
        argv, cwd = process.split(spec.command), spec.release.dir
        env = process.environment(spec, notify=self.notify, instance=self.mark(number))
        if spec.needs_relay:
            env[RELAY] = order(argv, cwd=cwd, drain_s=spec.drain_s)
            argv, cwd = command("relay", self.target), str(Path.cwd())
        with self._private_socket(slot.private_port) as private:
            slot.private_port = private.getsockname()[1]
            read, write = pipe()
            self.link.store(f"{number}.log", read)
            self.link.store(f"{number}.private", private.fileno())
            try:
                slot.pid = process.spawn(argv, cwd=cwd, env=env, sockets=(self.public, private.fileno()), output=write)
            except OSError:
                os.close(read)
                self._let_go(number)
                raise
            finally:
                os.close(write)
        pidfd = os.pidfd_open(slot.pid)
        self.link.store(f"{number}.pid", pidfd)
        slot.state, slot.started_at = ChildState.STARTING, datetime.now(UTC).isoformat(timespec="milliseconds")
        self._watch(slot, pidfd, read)

    def adopt(self, slot: Slot, held: Held) -> bool:
        """Take over a process that an earlier supervisor started; False if it cannot be found alive or dead."""
        pidfd, log = (held.fds.pop(f"{slot.instance}.{name}", None) for name in ("pid", "log"))
        if pidfd is None or log is None:
            process.end_strays(self.mark(slot.instance))
            return False
        slot.pid = max(process.pid_of(pidfd), 0) or slot.pid
        self._watch(slot, pidfd, log)
        for pid, code in held.exits.items():
            self.orphan_ended(pid, code)
        return True

    def signal(self, slot: Slot, number: signal.Signals) -> None:
        """Send a signal to the process of *slot*, if it has one."""
        if live := self.live.get(slot.instance):
            process.signal_to(live.pidfd, number)

    def log_tail(self, slot: Slot) -> tuple[str, ...]:
        """The newest lines that the slot's process printed."""
        if live := self.live.get(slot.instance):
            return tuple(live.output.tail)
        return self.tails.get(slot.instance, ())

    def slot_of(self, pid: int) -> Slot | None:
        """Whose process, or process's descendant, *pid* is."""
        with contextlib.suppress(ProcessLookupError):
            session = os.getsid(pid)
            return next((live.slot for live in self.live.values() if live.slot.pid in (pid, session)), None)
        starting = [live.slot for live in self.live.values() if live.slot.state is ChildState.STARTING]
        return starting[0] if len(starting) == 1 else None  # the sender has ended, as `systemd-notify` does

    async def end(self, slot: Slot) -> None:
        """Climb the stop ladder until the process has ended: SIGTERM, a stack dump by SIGABRT, SIGKILL."""
        live = self.live.get(slot.instance)
        if live is None:
            return
        drain_s = slot.spec.drain_s + STOP_MARGIN_S
        now, due = time.monotonic(), slot.leaving_at
        for number, wait_s in ((signal.SIGTERM, drain_s), (signal.SIGABRT, DUMP_S), (signal.SIGKILL, KILL_S)):
            if live.ended.is_set():
                return
            if due > now - _UNSURE_S:  # else an earlier supervisor did it; twice might cut the drain short
                process.signal_to(live.pidfd, number)
            due += wait_s
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(live.ended.wait(), max(due - time.monotonic(), 0))
                return

    def kill(self, slot: Slot) -> None:
        """End a process that is not worth a drain, with a stack dump."""
        instance = slot.instance

        def kill() -> None:
            if slot.instance == instance:  # else it is its successor's process by now
                self.signal(slot, signal.SIGKILL)

        self.signal(slot, signal.SIGABRT)
        asyncio.get_running_loop().call_later(DUMP_S, kill)

    def orphan_ended(self, pid: int, code: int) -> None:
        """The keeper reaped *pid*: one of these, or some process that a service left behind."""
        if any(live.slot.pid == pid for live in self.live.values()):
            self.orphan_exits[pid] = code

    def _private_socket(self, port: int) -> socket.socket:
        """A loopback socket, on the same port as before where that is still free."""
        try:
            return listen(f"127.0.0.1:{port}")
        except OSError:
            return listen("127.0.0.1:0")

    def _let_go(self, instance: int) -> None:
        for name in _NAMES:
            self.link.drop(f"{instance}.{name}")

    def _watch(self, slot: Slot, pidfd: int, log: int) -> None:
        loop = asyncio.get_running_loop()
        live = Live(slot, pidfd, Output(log, self.log), asyncio.Event())
        self.live[slot.instance] = live
        loop.add_reader(log, self._pump, live)
        loop.add_reader(pidfd, self._ended, live)

    def _pump(self, live: Live) -> None:
        if not live.output.pump():
            asyncio.get_running_loop().remove_reader(live.output.fd)

    def _ended(self, live: Live) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(live.pidfd)
        loop.remove_reader(live.output.fd)
        code = process.exit_code(live.pidfd)
        if code is None and live.slot.pid not in self.orphan_exits:
            loop.call_later(_KEEPER_REPORTS_S, self._finish, live, None)
        else:
            self._finish(live, code)

    def _finish(self, live: Live, code: int | None) -> None:
        slot = live.slot
        of_orphan = self.orphan_exits.pop(slot.pid, None)
        code = of_orphan if code is None else code
        live.output.drain()
        os.close(live.pidfd)
        del self.live[slot.instance]
        self.tails = {**dict(list(self.tails.items())[-9:]), slot.instance: tuple(live.output.tail)}
        self._let_go(slot.instance)
        process.end_strays(self.mark(slot.instance))
        slot.pid = 0
        live.ended.set()
        self.on_exit(slot, code)
