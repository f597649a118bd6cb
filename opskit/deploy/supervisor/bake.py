"""The bake: watches the running release for a while and takes production back if it fails by its own fault.

A failed check is repeated; if it stays, the same check is made on the parked release. One that fails there too is a
dependency's fault: going back would not help, so it is noted and the bake goes on. Crashes are the release's own.
"""

import asyncio
import contextlib
import http.client
import secrets
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from opskit.deploy.control import Bake, BakeState, ChildState, Verdict
from opskit.deploy.sockets import url_of
from opskit.deploy.supervisor import policy, process
from opskit.deploy.supervisor.core import Supervisor
from opskit.deploy.supervisor.state import BakeOrder, Slot
from opskit.errors import OpskitError, Refused

TRIES = 3
RETRY_S = 1.0
HEALTH_TIMEOUT_S = 5.0
SMOKE_TIMEOUT_S = 120.0


def health_fault(url: str) -> str:
    """What is wrong with the answer to GET *url*; "" = a 2xx."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        body = answer.read(300).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as fault:
        return f"GET {parts.path}: {str(fault) or type(fault).__name__}"
    finally:
        connection.close()
    return "" if 200 <= answer.status < 300 else f"GET {parts.path}: {answer.status} {body}".strip()


def smoke_fault(command: str, *, url: str, slot: Slot) -> str:
    """What the smoke command printed last if it failed; "" = it passed."""
    release = slot.spec.release
    port = str(urlsplit(url).port)  # a service behind a relay has no port that this could know
    env = {name: text.replace("{port}", port) for name, text in slot.spec.env.items()}
    env = {**process.base_environment(slot.spec.path_prepend), **env}
    env |= {"OPSKIT_VERSION": release.version, "OPSKIT_COMMIT": release.commit}
    try:
        argv = [word.replace("{url}", url) for word in process.split(command)]
    except ValueError as fault:
        return f"{command}: {fault}"
    try:
        done = subprocess.run(
            argv, cwd=release.dir, env=env, capture_output=True, text=True, errors="replace", timeout=SMOKE_TIMEOUT_S,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"{argv[0]}: no result within {SMOKE_TIMEOUT_S:g} s"
    except OSError as fault:
        return f"{argv[0]}: {fault.strerror}"
    said = (done.stdout + done.stderr).strip().splitlines()[-3:]
    return "" if done.returncode == 0 else f"exit {done.returncode}: {' · '.join(said)}"


class Bakery:
    """At most one bake at a time; it goes on in the next supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.task: asyncio.Task[None] | None = None
        self.failing = False  # production is being taken back: nothing may cut that off
        supervisor.on_running_exit = self._crashed

    def begin(self, *, minutes: float, health_every_s: float, smoke_command: str, smoke_every_s: float) -> None:
        """Start a bake of the running release; one under way ends as superseded. Raises Refused."""
        state = self.supervisor.state
        if state.running is None:
            raise Refused("nothing runs that could bake")
        self.end("superseded")
        state.order = BakeOrder(
            until=time.monotonic() + minutes * 60,
            health_every_s=max(health_every_s, 0.2),
            smoke_command=smoke_command,
            smoke_every_s=max(smoke_every_s, 1),
            exits_before=state.running.exits,
        )
        state.bake = Bake(
            id=secrets.token_hex(8),
            release=state.running.spec.release,
            state=BakeState.BAKING,
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            minutes=minutes,
            remaining_s=minutes * 60,
            checks=0,
        )
        self.supervisor.record("bake.started", state.running, minutes=minutes, bake=state.bake.id)
        self.supervisor.save()
        self.resume()

    def resume(self) -> None:
        """Go on with the bake in the state, if one is under way; for a supervisor that has just started."""
        state = self.supervisor.state
        if state.order is None or state.bake is None or state.running is None:
            return
        if state.running.spec.release != state.bake.release:  # its rollback was under way, and is completed by now
            bad = state.parked or state.running
            check, _, saw = bad.bad.partition(": ")
            self._conclude(check, saw, bad=bad, restored=state.running)
        else:
            self.task = asyncio.get_running_loop().create_task(self._bake(state.order))
            self.task.add_done_callback(self._ended)

    def end(self, why: str) -> None:
        """End a bake under way without a verdict."""
        state = self.supervisor.state
        if self.task and self.task is not asyncio.current_task():
            self.task.cancel()
        if state.order and state.bake:
            state.bake, state.order = replace(state.bake, state=BakeState.SUPERSEDED, note=why), None
            self.supervisor.record("bake.superseded", state.running, bake=state.bake.id, why=why)
            self.supervisor.save()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A fault of the bake's own must not leave it baking for ever, with somebody waiting for its end."""
        if not task.cancelled() and (fault := task.exception()):
            traceback.print_exception(fault)
            self.end(f"the bake itself failed: {fault!r}")

    async def _bake(self, order: BakeOrder) -> None:
        smoke_at = time.monotonic()
        while (now := time.monotonic()) < order.until:
            await self._check("health", order, lambda slot, _url: health_fault(_private(slot) + slot.spec.health))
            if order.smoke_command and now >= smoke_at:
                await self._check(
                    "smoke", order, lambda slot, url: smoke_fault(order.smoke_command, url=url, slot=slot)
                )
                smoke_at = time.monotonic() + order.smoke_every_s
            self._passed_one(order)
            await asyncio.sleep(min(order.health_every_s, max(order.until - time.monotonic(), 0)))
        state = self.supervisor.state
        if state.bake:
            state.bake, state.order = replace(state.bake, state=BakeState.PASSED, remaining_s=0), None
            self.supervisor.record("bake.passed", state.running, bake=state.bake.id, checks=state.bake.checks)
            self.supervisor.save()

    async def _check(self, name: str, order: BakeOrder, fault_of: Callable[[Slot, str], str]) -> None:
        supervisor = self.supervisor
        slot = supervisor.state.running
        if slot is None or slot.state is not ChildState.PUBLIC:
            return  # down or starting: a crash, which is judged where it is seen
        fault, before = "", slot.exits
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(min(RETRY_S, order.health_every_s))
            fault = await asyncio.to_thread(fault_of, slot, url_of(supervisor.public))
            if not fault or slot.exits != before:
                return
        parked = supervisor.state.parked
        if parked and parked.pid:
            same = await asyncio.to_thread(fault_of, parked, _private(parked))
            if same:
                self._note(f"{name} fails on the parked release too, so it is a dependency's fault: {same}")
                return
        await self._fail(name, fault)

    def _passed_one(self, order: BakeOrder) -> None:
        bake = self.supervisor.state.bake
        if bake:
            left_s = round(max(order.until - time.monotonic(), 0), 1)
            self.supervisor.state.bake = replace(bake, checks=bake.checks + 1, remaining_s=left_s)
            self.supervisor.save()

    def _note(self, note: str) -> None:
        bake = self.supervisor.state.bake
        if bake:
            self.supervisor.record("bake.dependency", self.supervisor.state.running, detail=note)
            self.supervisor.state.bake = replace(bake, note=note)

    def _crashed(self, slot: Slot, crash_loop: bool) -> None:
        order = self.supervisor.state.order
        if order is None or self.failing:
            return
        crashes = slot.exits - order.exits_before
        if crash_loop or crashes >= policy.BAKE_EXITS:
            if self.task:
                self.task.cancel()
            saw = f"{crashes} crashes in the bake, the last: {slot.last_exit}"
            self.task = asyncio.get_running_loop().create_task(self._fail("crashes", saw))

    async def _fail(self, check: str, saw: str) -> None:
        """Go back to the parked release, or start it again, and say why."""
        supervisor, state = self.supervisor, self.supervisor.state
        async with supervisor.lock:
            if state.order is None or state.running is None:
                return  # superseded while this waited for the lock
            bad, restored = state.running, None
            self.failing = True
            try:
                with contextlib.suppress(OpskitError):
                    restored = await self._restore(f"{check}: {saw}")
                self._conclude(check, saw, bad=bad, restored=restored)
            finally:
                self.failing = False

    def _conclude(self, check: str, saw: str, *, bad: Slot, restored: Slot | None) -> None:
        supervisor, state = self.supervisor, self.supervisor.state
        verdict = Verdict(
            check=check,
            saw=saw,
            own=True,
            action="rolled_back" if restored else "none",
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            release=bad.spec.release,
            restored=restored.spec.release if restored else None,
        )
        state.order = None
        if state.bake:
            state.bake = replace(state.bake, state=BakeState.FAILED, verdict=verdict)
        supervisor.save()
        supervisor.alert("bake.failed", bad, **asdict(verdict))

    async def _restore(self, why: str) -> Slot | None:
        supervisor, state = self.supervisor, self.supervisor.state
        if state.parked is None:
            return None
        if state.parked.pid:
            await supervisor.swap("return_to_parked", request="", why=why)
        else:
            await supervisor.launch(state.parked.spec, request=secrets.token_hex(8))
            if state.running:
                state.running.bad = why
            await supervisor.swap("cut_over", request="")
        return state.running


def _private(slot: Slot) -> str:
    return f"http://127.0.0.1:{slot.private_port}"
