"""What every handler of one server process shares."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from chat.fanout.hub import Hub
from chat.fanout.outbox import Tick
from chat.services import Chat
from chat.settings import Settings
from chat.web.limits import Rate
from chat.web.presence import PresenceDesk
from chat.web.wheel import Wheel

if TYPE_CHECKING:
    from chat.web.socket.session import Session

SLOTS_PER_BEAT, MAX_SLOT_S = 80, 0.25  # fewer and larger slots save nothing more, and hold up others


@dataclass(frozen=True, slots=True)
class Version:
    """What runs: as deployed, else as installed."""

    version: str
    commit: str | None
    started_at: str

    @classmethod
    def running(cls, env: dict[str, str]) -> "Version":
        """The version of this process, started now."""
        started = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return cls(env.get("OPSKIT_VERSION") or _installed(), env.get("OPSKIT_COMMIT") or None, started)


def _installed() -> str:
    try:
        return metadata.version("opskit")
    except metadata.PackageNotFoundError:
        return "unknown"


@dataclass(slots=True, eq=False)
class Site:
    """The server of one process: services, subscriptions, limits, and whether it is on its way out."""

    settings: Settings
    chat: Chat
    hub: Hub
    tick: Tick
    presence: PresenceDesk
    version: Version = field(default_factory=lambda: Version.running(dict(os.environ)))
    now: Callable[[], float] = time.time
    sockets: "set[Session]" = field(default_factory=set)
    draining: bool = False  # on the way out: not ready
    closing_connections: bool = False  # answers end their connection (parked, or on the way out)
    failing: Callable[[], list[str]] = list  # what the process itself knows to be wrong, for /readyz
    openapi: dict[str, Any] = field(default_factory=dict)
    asyncapi: dict[str, Any] = field(default_factory=dict)
    heartbeats: Wheel = field(init=False)
    auth_rate: Rate = field(init=False)
    message_rate: Rate = field(init=False)

    def __post_init__(self) -> None:
        s = self.settings
        self.heartbeats = Wheel(min(MAX_SLOT_S, s.heartbeat_ms / 1000 / SLOTS_PER_BEAT))
        self.auth_rate = Rate(s.rate_auth_per_min / 60, burst=s.rate_auth_per_min, what="sign-in attempts")
        self.message_rate = Rate(s.rate_messages_per_s, burst=s.burst, what="messages")

    def sockets_of(self, user_id: str) -> int:
        """How many connections the user has to this process."""
        local = self.hub.users.get(user_id)
        return len(local.live) + len(local.pending) if local is not None else 0

    def loop_time(self) -> float:
        """A clock that never jumps, for limits and deadlines."""
        return time.monotonic()
