"""The roles of a target (running, candidate, parked) and their processes: started, adopted, restarted, ended."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from opskit import __version__, telemetry
from opskit.deploy.control import BakeState, Child, ChildState, Status
from opskit.deploy.sockets import BACKLOG, url_of
from opskit.deploy.supervisor import alerts, policy
from opskit.deploy.supervisor.children import Children
from opskit.deploy.supervisor.holding import Holding
from opskit.deploy.supervisor.link import Held
from opskit.deploy.supervisor.state import Slot, State, Store, boot_id


class Roles:
    """What one target runs. Every method runs on the event loop; a change is saved before it is acted on."""

    def __init__(
        self, target: str, state_dir: Path, *, store: Store, children: Children, public: Any, held: Held, copy: str
    ) -> None:
        self.target, self.state_dir, self.store, self.children = target, state_dir, store, children
        self.public, self.held, self.copy = public, held, copy
        self.holding = Holding(public.fileno())
        self.state = State()
        self.changed = asyncio.Event()
        self.leaving: dict[int, asyncio.Task[None]] = {}
        self.on_running_exit: Callable[[Slot, bool], None] = lambda _slot, _loop: None
        children.on_exit = self.exited

    # --- facts

    def status(self) -> Status:
        """What runs now."""
        state = self.state
        return Status(
            target=self.target,
            public_url=url_of(self.public),
            up=state.up,
            running=self.child(state.running),
            candidate=self.child(state.candidate),
            parked=self.child(state.parked),
            bake=state.bake,
            maintenance=state.maintenance,
            operation=state.operation.do if state.operation else "",
            keeper_pid=self.held.keeper_pid,
            keeper_version=self.held.keeper_version,
            supervisor_pid=os.getpid(),
            supervisor_version=__version__,
            copy=self.copy,
            fault=self.store.fault,
            last=state.last.release if state.last else None,
        )

    def child(self, slot: Slot | None) -> Child | None:
        """A slot as the protocol shows it."""
        if slot is None:
            return None
        return Child(
            release=slot.spec.release,
            pid=slot.pid,
            state=slot.state,
            private_url=f"http://127.0.0.1:{slot.private_port}",
            started_at=slot.started_at,
            exits=slot.exits,
            last_exit=slot.last_exit,
            bad=slot.bad,
        )

    def record(self, event: str, slot: Slot | None = None, **fields: Any) -> None:
        """One telemetry record, about *slot* if given; a disk that refuses it is not this service's end."""
        if slot:
            release = slot.spec.release
            fields = {"version": release.version, "commit": release.commit, "pid": slot.pid, **fields}
        with contextlib.suppress(OSError):
            telemetry.record(self.state_dir, event, target=self.target, **fields)

    def alert(self, event: str, slot: Slot, **fields: Any) -> None:
        """Record something that somebody must be told of, and tell."""
        self.record(event, slot, **fields)
        release = slot.spec.release
        told = {"event": event, "target": self.target, "version": release.version, "commit": release.commit}
        alerts.send(slot.spec, {**told, **fields})

    def save(self) -> None:
        """Write the state down, make the public socket's stand-in fit it, and wake who waits for a change."""
        self.store.save(self.state)
        running = self.state.running
        if self.state.maintenance:
            self.holding.hold("maintenance")
        elif running and running.state is ChildState.CRASH_LOOP:
            self.holding.hold("the service keeps crashing")
        else:
            self.holding.hold("")
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait for *holds* to become true; False after *timeout_s*."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not holds():
                    await self.changed.wait()
                return True
        return False

    # --- coming up

    def recover(self) -> None:
        """Take up where an earlier supervisor was: its children, its unfinished swap, its restarts."""
        self.state, damaged = self.store.load()
        for name in damaged:
            self.record("state.damaged", copy=name)
        if self.state.boot != boot_id():
            for slot in self.state.slots():
                slot.instance = slot.pid = 0
                slot.exits_at, slot.early, slot.retry_at = [], 0, 0
            self.state.boot, self.state.leaving, self.state.candidate = boot_id(), [], None
            self.state.operation = self.state.order = None
            if self.state.bake and self.state.bake.state is BakeState.BAKING:
                self.state.bake = replace(self.state.bake, state=BakeState.SUPERSEDED, note="the machine restarted")
        for slot in self.state.slots():
            if slot.instance and self.children.adopt(slot, self.held):
                if slot.state is ChildState.STARTING:
                    self._expect_ready(slot)
            elif slot is self.state.running and self.state.up:
                slot.pid = 0
                slot.state = slot.state if slot.state is ChildState.CRASH_LOOP else ChildState.STARTING
                self._schedule(slot, max(slot.retry_at - time.monotonic(), 0))
            else:
                self._gone(slot, None)
                if slot is self.state.candidate:  # cut off before its process was known: its client asks again
                    self.state.candidate = None
        self.save()
        self.record("supervisor.started", supervisor_pid=os.getpid(), version_of_opskit=__version__)

    # --- processes

    def start(self, slot: Slot) -> None:
        """Start the process of *slot*; raises OSError, ValueError."""
        slot.instance, self.state.next_instance = self.state.next_instance, self.state.next_instance + 1
        slot.state = ChildState.STARTING
        self.save()  # before the process exists: a successor ends what it started but could not record
        self.children.start(slot)
        self.save()
        self.record("service.started", slot)
        self._expect_ready(slot)

    def _expect_ready(self, slot: Slot) -> None:
        instance = slot.instance

        def late() -> None:
            if slot.instance == instance and slot.pid and slot.state is ChildState.STARTING:
                slot.last_exit = f"not ready within {slot.spec.ready_s:g} s"
                self.record("service.late", slot, ready_s=slot.spec.ready_s)
                self.children.kill(slot)

        asyncio.get_running_loop().call_later(slot.spec.ready_s, late)

    def notified(self, pid: int, message: str) -> None:
        """A datagram came on NOTIFY_SOCKET, sd_notify(3)."""
        slot = self.children.slot_of(pid)
        if slot is None or "READY=1" not in message.splitlines() or slot.state is not ChildState.STARTING:
            return
        slot.state, slot.early = ChildState.READY, 0
        self.record("service.ready", slot)
        if slot is self.state.running:
            self.show(slot)
        self.save()

    def show(self, slot: Slot) -> None:
        """Have *slot* accept in public, unless maintenance does. One that starts does so by itself once it is ready."""
        if slot.pid and slot.state is not ChildState.STARTING and not self.state.maintenance:
            self.children.signal(slot, signal.SIGUSR1)
            slot.state = ChildState.PUBLIC

    def hide(self, slot: Slot) -> None:
        """Have *slot* park."""
        if slot.pid and slot.state is not ChildState.STARTING:
            self.children.signal(slot, signal.SIGUSR2)
            slot.state = ChildState.PARKED

    def exited(self, slot: Slot, code: int | None) -> None:
        """A process has ended, whoever meant it to."""
        self.public.listen(BACKLOG)  # a service's own listen() may have made the queue short
        late = slot.last_exit if slot.state is ChildState.STARTING and slot.last_exit.startswith("not ready") else ""
        slot.last_exit, slot.last_code = late or policy.exit_text(code), code
        if any(slot is one for one in self.state.leaving):
            self._gone(slot, code)
            self.save()
            return
        slot.exits += 1
        self.record(
            "service.exited", slot, exit=code, detail=slot.last_exit, log_tail=self.children.log_tail(slot)[-10:]
        )
        if slot is self.state.running and self.state.up:
            self._revive(slot)
        else:
            self._gone(slot, code)
        self.save()

    def _gone(self, slot: Slot, code: int | None) -> None:
        slot.pid, slot.state, slot.last_exit = 0, ChildState.EXITED, slot.last_exit or policy.exit_text(code)
        self.state.leaving = [one for one in self.state.leaving if one is not slot]

    def _revive(self, slot: Slot) -> None:
        now = time.monotonic()
        slot.early = slot.early + 1 if slot.state is ChildState.STARTING else 0
        slot.exits_at = [*slot.exits_at[-9:], now]
        restart = policy.after_exit(slot.exits_at, early=slot.early, now=now)
        slot.state = ChildState.CRASH_LOOP if restart.crash_loop else ChildState.STARTING
        slot.retry_at = now + restart.delay_s
        if restart.crash_loop:
            facts = {"exits": slot.exits, "detail": slot.last_exit, "retry_s": restart.delay_s}
            self.alert("service.crash_loop", slot, **facts)
        self._schedule(slot, restart.delay_s)
        self.on_running_exit(slot, restart.crash_loop)

    def _schedule(self, slot: Slot, delay_s: float) -> None:
        def again() -> None:
            if slot is self.state.running and not slot.pid and self.state.up and slot.instance == instance:
                try:
                    self.start(slot)
                except (OSError, ValueError) as fault:
                    slot.last_exit = f"could not be started: {fault}"
                    self._revive(slot)
                    self.save()

        instance = slot.instance
        asyncio.get_running_loop().call_later(delay_s, again)

    def _leave(self, slot: Slot) -> None:
        """End *slot* by the ladder, in the background."""
        if slot.pid:
            slot.state, slot.leaving_at = ChildState.DRAINING, slot.leaving_at or time.monotonic()
            task = asyncio.get_running_loop().create_task(self.children.end(slot))
            self.leaving[slot.instance] = task
            task.add_done_callback(lambda _: self.leaving.pop(slot.instance, None))
        else:
            self._gone(slot, None)
