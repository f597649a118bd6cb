"""The operations on a target: launch, cut over, return, restart, stop. A swap cut off by a kill is completed."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from opskit.deploy.control import Child, ChildState, LaunchFailed, LaunchSpec, Status
from opskit.deploy.sockets import BACKLOG
from opskit.deploy.supervisor.roles import Roles
from opskit.deploy.supervisor.state import Operation, Slot
from opskit.errors import Refused

SETTLE_S = 0.05  # between telling the new one to accept and telling the old one to stop: accepting never pauses
_REMEMBERED = 32


class Supervisor(Roles):
    """Takes one operation at a time, in the order of `lock`."""

    def __init__(self, target: str, state_dir: Path, **parts: Any) -> None:
        super().__init__(target, state_dir, **parts)
        self.lock = asyncio.Lock()

    async def complete(self) -> None:
        """Finish what a killed supervisor left half-done."""
        for slot in list(self.state.leaving):
            self._leave(slot)
        if self.state.operation:
            async with self.lock:
                with contextlib.suppress(Refused):
                    await self._swap(self.state.operation)

    async def launch(self, spec: LaunchSpec, *, request: str) -> Child:
        """Start the candidate and wait until it is ready; raises LaunchFailed."""
        slot = self.state.candidate
        if slot is None or self.state.asked != request:
            await self.discard()
            slot = self.state.candidate = Slot(spec=spec)
            self.state.asked = request
            try:
                self.start(slot)
            except (OSError, ValueError) as fault:
                self.state.candidate = None
                self.save()
                raise LaunchFailed(f"it could not be started: {fault}") from fault
        settled = await self.until(lambda: slot.state is not ChildState.STARTING, slot.spec.ready_s + 10)
        if settled and slot.state is ChildState.READY:
            return _present(self.child(slot))
        tail, reason = self.children.log_tail(slot), slot.last_exit
        await self.discard()
        said = f"it was {reason}" if reason.startswith("not ready") else f"it {reason} before it was ready"
        raise LaunchFailed(said, log_tail=tail, exit_code=slot.last_code)

    async def discard(self) -> None:
        """End the candidate, if there is one."""
        slot, self.state.candidate = self.state.candidate, None
        if slot:
            self.state.leaving.append(slot)
            self._leave(slot)
            self.save()
            await self.until(lambda: slot.pid == 0, slot.spec.drain_s + 20)

    async def swap(self, do: str, *, request: str, why: str = "") -> Status:
        """`cut_over`, `restart` (the old one leaves) or `return_to_parked`; raises Refused."""
        incoming = self.state.parked if do == "return_to_parked" else self.state.candidate
        if incoming is None:
            raise Refused(
                "no release is parked" if do == "return_to_parked" else "there is no candidate to cut over to"
            )
        if not incoming.pid or incoming.state not in (ChildState.READY, ChildState.PARKED):
            raise Refused(
                f"the release {incoming.spec.release.version} is {incoming.state.value}: {incoming.last_exit}"
            )
        self.state.operation = Operation(do=do, request=request, why=why)
        self.save()
        await self._swap(self.state.operation)
        return self.status()

    async def _swap(self, operation: Operation) -> None:
        """Do the journaled swap, from wherever it was cut off; every signal may be sent twice."""
        state = self.state
        if not operation.swapped:
            incoming = state.parked if operation.do == "return_to_parked" else state.candidate
            if incoming:
                self.show(incoming)
                await asyncio.sleep(SETTLE_S)
            if incoming is None or not incoming.pid:
                state.operation = None
                self.save()
                raise Refused(f"the release ended meanwhile: {incoming.last_exit if incoming else 'no reason seen'}")
            self._change_roles(operation)
            operation.swapped = True
            self.save()
        elif state.running:
            self.show(state.running)
        self.record(operation.do, state.running, why=operation.why)
        if state.parked:
            self.hide(state.parked)
        for slot in list(state.leaving):
            if slot.instance not in self.leaving:
                self._leave(slot)
        state.operation = None
        self.public.listen(BACKLOG)
        self.remember(operation.request)

    def _change_roles(self, operation: Operation) -> None:
        state = self.state
        before = state.running
        match operation.do:
            case "return_to_parked":
                state.running, state.parked = state.parked, before
                if before:
                    before.bad = operation.why or "rolled back"
            case "restart":
                state.running, state.candidate = state.candidate, None
                state.leaving += [before] if before else []
            case _:
                state.last_before = state.last
                state.leaving += [state.parked] if state.parked else []
                state.running, state.parked, state.candidate = state.candidate, before, None
        if state.parked and not state.parked.pid:
            state.parked.state = ChildState.EXITED
        state.up = True
        state.last = state.running.spec if state.running else state.last

    async def restart(self, *, request: str) -> Status:
        """A fresh process of the running release takes over."""
        if self.state.running is None:
            raise Refused("nothing runs", remedy="start it with `opskit start`")
        if request not in self.state.done:
            await self.launch(self.state.running.spec, request=request)
        return await self.swap("restart", request=request)

    async def bring_up(self, *, request: str) -> Status:
        """Put the release that ran last into service, if none is."""
        running = self.state.running
        if running and self.state.up:  # after a reboot it starts by itself
            await self.until(lambda: running.state is not ChildState.STARTING, running.spec.ready_s + 10)
            return self.status()
        if self.state.last is None:
            raise Refused("no release has run here yet", remedy="deploy one with `opskit deploy`")
        await self.launch(self.state.last, request=request)
        return await self.swap("cut_over", request=request)

    def maintain(self, on: bool) -> Status:
        """Answer 503 in the service's place, or no longer."""
        self.state.maintenance = on
        if self.state.running:
            (self.hide if on else self.show)(self.state.running)
        self.record("maintenance", on=on)
        self.save()
        return self.status()

    async def stop(self, *, take_back: bool = False) -> None:
        """End every process of the service; with *take_back* the newest cut-over is forgotten."""
        state = self.state
        if take_back:
            state.last = state.last_before
        state.up = state.maintenance = False
        slots = [slot for slot in (state.running, state.candidate, state.parked) if slot]
        state.running = state.candidate = state.parked = None
        state.leaving += slots
        for slot in list(state.leaving):
            if slot.instance not in self.leaving:
                self._leave(slot)
        self.save()
        await self.until(lambda: not state.leaving, max((s.spec.drain_s for s in slots), default=0) + 20)
        self.record("stopped")

    def remember(self, request: str) -> None:
        """*request* is done: asked again, it is not repeated."""
        self.state.done = [*self.state.done[-_REMEMBERED:], request]
        self.save()


def _present(child: Child | None) -> Child:
    if child is None:
        raise LaunchFailed("it is gone")
    return child
