"""What the product does, for one process: the front door to accounts, rooms, messages and all else."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chat.auth.keys import FILE_NAME as KEYS_FILE_NAME
from chat.auth.keys import KeyRing
from chat.auth.passwords import Passwords
from chat.auth.sessions import Sessions
from chat.auth.tickets import Tickets
from chat.protocol.log import Committed
from chat.services import retention
from chat.services.accounts import Accounts
from chat.services.log import Log
from chat.services.messages import Messages
from chat.services.presence import Presence
from chat.services.reactions import Reactions
from chat.services.reading import Reading
from chat.services.rooms import Rooms
from chat.settings import Settings
from chat.storage.retention import Keep
from chat.storage.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """Everything that users can do and see, but for sockets."""

    accounts: Accounts
    sessions: Sessions
    tickets: Tickets
    rooms: Rooms
    messages: Messages
    reactions: Reactions
    reading: Reading
    presence: Presence
    log: Log
    passwords: Passwords
    store: Store
    epoch: str

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        *,
        on_commit: Callable[[Committed], None],
        process_id: str,
        now: Callable[[], float] = time.time,
    ) -> AsyncIterator["Chat"]:
        """Open the database and the keys, both made if there are none; at the end all that was queued is stored.

        *on_commit* is called in the event loop after each commit, after the acknowledgements and before any waiter
        resumes. Raises `SchemaFault`, `KeysFault`, `OSError`.
        """
        ring = KeyRing(settings.data_dir / KEYS_FILE_NAME)
        passwords = Passwords(ring.pepper, cost=settings.bcrypt_cost)
        try:
            async with Store.open(settings.database_url, on_commit=on_commit, now=now) as store:
                chat = cls._of(settings, store, ring, passwords, process_id=process_id, now=now)
                keep = Keep(user_log_days=settings.keep_user_log_days, room_log_days=settings.keep_room_log_days)
                async with chat.presence.kept_alive(), retention.kept(store, keep):
                    yield chat
        finally:
            passwords.close()

    @classmethod
    def _of(
        cls,
        settings: Settings,
        store: Store,
        ring: KeyRing,
        passwords: Passwords,
        *,
        process_id: str,
        now: Callable[[], float],
    ) -> "Chat":
        sessions = Sessions(
            store, ring, access_ttl_s=settings.access_ttl_s, session_days=settings.session_days, now=now
        )
        return cls(
            accounts=Accounts(store, passwords, sessions, registration=settings.registration),
            sessions=sessions,
            tickets=Tickets(store, now=now),
            rooms=Rooms(store, max_rooms_per_user=settings.max_rooms_per_user),
            messages=Messages(store),
            reactions=Reactions(store),
            reading=Reading(store),
            presence=Presence(store, process_id=process_id, now=now),
            log=Log(store),
            passwords=passwords,
            store=store,
            epoch=store.version.epoch,
        )

    async def check(self) -> list[str]:
        """What keeps the service from being able to serve: `database`, `schema`; empty if nothing does."""
        return await self.store.check()
