"""The supervisor's end of its channel to the keeper; the keeper's module tells the messages."""

import contextlib
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opskit.deploy.keeper import CHANNEL


@dataclass(slots=True)
class Held:
    """What the keeper held when this supervisor started."""

    fds: dict[str, int] = field(default_factory=dict)
    exits: dict[int, int] = field(default_factory=dict)  # process id to exit code, of orphans
    keeper_pid: int = 0
    keeper_version: str = ""


class Link:
    """Stores descriptors with the keeper and hears from it. A keeper that is gone is noticed, not raised."""

    def __init__(self) -> None:
        self.socket = socket.socket(fileno=CHANNEL)
        self.socket.set_inheritable(False)
        self.socket.settimeout(5)
        self._mine: dict[str, int] = {}  # the same descriptors, in case the keeper dies

    def collect(self) -> Held:
        """Fetch all that the keeper holds; raises OSError or ConnectionError if it does not answer."""
        held = Held()
        self._tell(do="hello")
        while True:
            message, fds = self._receive()
            match message.get("do"):
                case "held":
                    held.fds[message["name"]] = fds[0]
                    self._mine[message["name"]] = os.dup(fds[0])
                case "exit":
                    held.exits[message["pid"]] = message["exit"]
                case "end":
                    held.keeper_pid, held.keeper_version = message["pid"], message["version"]
                    return held
                case None:
                    raise ConnectionError("the keeper closed the channel")

    def hear(self, on_message: Callable[[dict[str, Any]], None], on_lost: Callable[[], None]) -> None:
        """Take one packet; for the event loop's reader."""
        try:
            message, _ = self._receive()
        except OSError:
            message = {}
        if message:
            on_message(message)
        else:
            on_lost()

    def store(self, name: str, fd: int) -> None:
        """Have the keeper hold *fd* under *name*, in place of an earlier one."""
        self._forget(name)
        self._mine[name] = os.dup(fd)
        self._tell(fd, do="store", name=name)

    def drop(self, name: str) -> None:
        """Have the keeper close what it holds under *name*, if anything."""
        self._forget(name)
        self._tell(do="drop", name=name)

    def everything(self) -> dict[str, int]:
        """All that the keeper holds, as this process's own descriptors."""
        return dict(self._mine)

    def alive(self) -> None:
        """Say so; a supervisor that falls silent is killed."""
        self._tell(do="alive")

    def upgrade(self) -> None:
        """Have the keeper exec the current copy."""
        self._tell(do="upgrade")

    def quit(self) -> None:
        """Have the keeper close everything and end."""
        self._tell(do="quit")

    def _forget(self, name: str) -> None:
        if name in self._mine:
            os.close(self._mine.pop(name))

    def _tell(self, fd: int | None = None, **message: Any) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the reader notices, and becomes the keeper
            socket.send_fds(self.socket, [json.dumps(message).encode()], [] if fd is None else [fd])

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        packet, fds, _, _ = socket.recv_fds(self.socket, 65536, 1)
        for fd in fds:
            os.set_inheritable(fd, False)  # recv_fds cannot
        return (json.loads(packet) if packet else {}), list(fds)
