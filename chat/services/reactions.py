"""Reactions to messages."""

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

    async def add(self, who: Who, message_id: str, emoji: str) -> Reacted:
        """React; idempotent. Raises `InvalidText`, `MessageNotFound`, `NotAMember`, `TooMany`."""
        return await self._set(who, message_id, emoji, present=True)

    async def remove(self, who: Who, message_id: str, emoji: str) -> Reacted:
        """Take one's reaction back; idempotent. Raises `InvalidText`, `MessageNotFound`, `NotAMember`."""
        return await self._set(who, message_id, emoji, present=False)

    async def _set(self, who: Who, message_id: str, emoji: str, *, present: bool) -> Reacted:
        with texts.judged("emoji"):
            spelled = allowed_emoji(emoji)
        ask = React(
            message_id=texts.row_id(message_id, missing=MessageNotFound(ascii(message_id)[:80])),
            user=User(id=who.user_id, username=who.username),
            emoji=spelled,
            present=present,
        )
        return await self._store.writer.submit(reactions.react, ask)
