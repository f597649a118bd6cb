"""One connection as fan-out sees it: whose it is, what it looks at, and where its frames go."""

from collections.abc import Callable

from chat.fanout.frames import encode
from chat.fanout.outbox import Outbox
from chat.protocol.events import Event


class Subscriber:
    """A live connection. Compared by identity: two of one user are two."""

    __slots__ = (
        "__weakref__", "close", "connection_id", "outbox", "replay", "session_id", "user_id", "username", "viewing",
    )  # fmt: skip

    def __init__(
        self,
        *,
        connection_id: str,
        user_id: str,
        username: str | None,
        session_id: str,
        outbox: Outbox,
        close: Callable[[int, str], None],
        replay: Callable[[str, int], None],
    ) -> None:
        """*close* ends it with a code and a reason; *replay* sends a held room's events after a rev, from the log."""
        self.connection_id, self.user_id, self.username, self.session_id = connection_id, user_id, username, session_id
        self.outbox, self.close, self.replay = outbox, close, replay
        self.viewing: str | None = None

    def send(self, event: Event) -> None:
        """Queue *event*."""
        self.outbox.send(encode(event))
