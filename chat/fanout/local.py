"""What a node keeps of a user while connections of theirs are here."""

from dataclasses import dataclass, field

from chat.fanout.subscriber import Subscriber
from chat.protocol.events import ReadMoved


@dataclass(slots=True)
class Local:
    """A user with at least one connection to this node."""

    n: int | None = None  # the user's own log is applied up to here; None until the first snapshot
    seen: int = 0
    joined: dict[str, int] = field(default_factory=dict)  # room -> rev of the newest own join that was delivered
    joining: dict[str, int] = field(default_factory=dict)  # room -> rev of the newest own join that is known of
    moved: dict[str, ReadMoved] = field(default_factory=dict)  # cursors in rooms whose join is still to be delivered
    rooms: set[str] = field(default_factory=set)  # what the user's live connections are attached to
    live: dict[Subscriber, None] = field(default_factory=dict)
    pending: dict[Subscriber, "Pending"] = field(default_factory=dict)

    def everyone(self) -> list[Subscriber]:
        """Live and pending connections."""
        return [*self.live, *self.pending]


@dataclass(slots=True)
class Pending:
    """A connection between registration and its snapshot; what happens meanwhile is kept for `welcome`."""

    joined: dict[str, int] = field(default_factory=dict)  # room -> rev of the join that was delivered meanwhile
    unfollowed: dict[str, int] = field(default_factory=dict)  # room nobody followed -> highest rev that passed by
    rung: bool = False  # another process committed meanwhile
