"""Reactions to messages."""

from collections.abc import Callable

from chat.protocol.errors import MessageNotFound
from chat.protocol.log import Who
from chat.protocol.models import User
from chat.services import texts
from chat.storage import reactions
from chat.storage.reactions import React, Reacted
from chat.storage.store import Store
from chat.text import emoji as allowed_emoji


class Reactions:
    """Everybody's reactions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(
        self, who: Who, message_id: str, emoji: str, *, acknowledge: Callable[[Reacted], None] | None = None
    ) -> Reacted:
        """React; idempotent. *acknowledge* is called right after the commit and before the event is delivered.

        Raises `InvalidText`, `MessageNotFound`, `NotAMember`, `TooMany`.
        """
        return await self._set(who, message_id, emoji, present=True, acknowledge=acknowledge)

    async def remove(
        self, who: Who, message_id: str, emoji: str, *, acknowledge: Callable[[Reacted], None] | None = None
    ) -> Reacted:
        """Take one's reaction back; idempotent, acknowledged as `add`. Raises as `add` but for `TooMany`."""
        return await self._set(who, message_id, emoji, present=False, acknowledge=acknowledge)

    async def _set(
        self,
        who: Who,
        message_id: str,
        emoji: str,
        *,
        present: bool,
        acknowledge: Callable[[Reacted], None] | None,
    ) -> Reacted:
        with texts.judged("emoji"):
            spelled = allowed_emoji(emoji)
        ask = React(
            message_id=texts.row_id(message_id, missing=MessageNotFound),
            user=User(id=who.user_id, username=who.username),
            emoji=spelled,
            present=present,
        )
        return await self._store.writer.submit(reactions.react, ask, acknowledge=acknowledge)
