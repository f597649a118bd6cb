"""The supervisor's process: collects what the keeper holds, takes up where the one before was, and serves requests."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from opskit.deploy.keeper import become_keeper
from opskit.deploy.sockets import BACKLOG
from opskit.deploy.supervisor.bake import Bakery
from opskit.deploy.supervisor.children import Children
from opskit.deploy.supervisor.core import Supervisor
from opskit.deploy.supervisor.link import Held, Link
from opskit.deploy.supervisor.logs import ServiceLog
from opskit.deploy.supervisor.server import Server
from opskit.deploy.supervisor.state import Store

TICK_S = 1.0


class Program:
    """One supervisor's life, from the keeper's hand to the next supervisor's."""

    def __init__(self, target: str, state_dir: Path) -> None:
        self.target, self.state_dir = target, state_dir
        self.link = Link()
        self.held = self.link.collect()
        self.over = asyncio.Event()
        self.stopping: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Supervise until told to leave."""
        loop, held = asyncio.get_running_loop(), self.held
        public = socket.socket(fileno=os.dup(held.fds.pop("public")))
        public.setblocking(False)
        control = socket.socket(fileno=held.fds.pop("control"))
        notify = socket.socket(fileno=held.fds.pop("notify"))
        notify.setblocking(False)
        log = ServiceLog(self.state_dir / "logs")
        path = notify.getsockname()
        children = Children(self.target, self.state_dir, self.link, log, public=public.fileno(), notify=path)
        supervisor = Supervisor(
            self.target, self.state_dir, store=self._store(), children=children, public=public, held=held,
            copy=Path.cwd().name,
        )  # fmt: skip
        bakery = Bakery(supervisor)
        loop.add_reader(self.link.socket, self.link.hear, lambda m: self._told(m, supervisor), self._keeper_lost)
        loop.add_reader(notify, _take_notices, notify, supervisor)
        loop.add_signal_handler(signal.SIGTERM, self.over.set)  # the keeper starts the next one; children go on
        supervisor.recover()
        self._forget_strangers(held, supervisor)
        await supervisor.complete()
        bakery.resume()
        server = Server(supervisor, bakery, self._leave)
        serving = loop.create_task(server.accept(control))
        while not self.over.is_set():
            self.link.alive()
            public.listen(BACKLOG)  # a service's own listen() may have made the queue short
            with contextlib.suppress(OSError):  # it is gone: new services cannot say READY, those that run go on
                os.utime(path)  # so that nothing that tidies a temporary directory takes it
            try:
                await asyncio.wait_for(self.over.wait(), TICK_S)
            except TimeoutError:
                continue
        serving.cancel()
        os._exit(0)  # asyncio's own end would wait for a smoke run's thread

    def _store(self) -> Store:
        memory = self.held.fds.pop("state", None)
        if memory is None:
            memory = os.memfd_create("opskit-state")
            self.link.store("state", memory)
        return Store(self.state_dir, memory)

    def _forget_strangers(self, held: Held, supervisor: Supervisor) -> None:
        """Let go of descriptors of instances that no slot has any more."""
        known = {str(slot.instance) for slot in supervisor.state.slots()}
        for name, fd in held.fds.items():
            os.close(fd)
            if name.partition(".")[0] not in known:
                self.link.drop(name)

    def _told(self, message: dict[str, Any], supervisor: Supervisor) -> None:
        match message.get("do"):
            case "exit":
                supervisor.children.orphan_ended(message["pid"], message["exit"])
            case "stop":
                self.stopping = asyncio.get_running_loop().create_task(self._stop(supervisor))

    async def _stop(self, supervisor: Supervisor) -> None:
        async with supervisor.lock:
            await supervisor.stop()
        self._leave("stop")

    def _leave(self, how: str) -> None:
        if how == "stop":
            self.link.quit()
        else:
            self.link.upgrade()
        self.over.set()

    def _keeper_lost(self) -> None:
        """The keeper died: become it; children and descriptors are this process's own already."""
        become_keeper(self.target, self.link.everything(), state_dir=self.state_dir)


def _take_notices(notify: socket.socket, supervisor: Supervisor) -> None:
    """Read datagrams with their sender's process id, unix(7) SCM_CREDENTIALS."""
    while True:
        try:
            data, ancillary, _, _ = notify.recvmsg(4096, socket.CMSG_SPACE(12))
        except OSError:
            return
        for _, kind, credentials in ancillary:
            if kind == socket.SCM_CREDENTIALS:
                supervisor.notified(int.from_bytes(credentials[:4], sys.byteorder), data.decode("utf-8", "replace"))


def main() -> NoReturn:
    """Run as the supervisor of the target named on the command line, from the directory of the copy."""
    asyncio.run(Program(sys.argv[1], Path.cwd().parents[1]).run())
    raise SystemExit
