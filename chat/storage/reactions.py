"""Reactions: adding and removing them, with the event that each change leaves."""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from chat.protocol.errors import MessageNotFound, NotAMember, TooMany
from chat.protocol.events import ReactionChanged
from chat.protocol.models import ReactionCount, User
from chat.storage.messages import REACTIONS_OF, read_reactions
from chat.storage.transaction import Transaction, single

EMOJI_PER_MESSAGE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class React:
    """A reaction to be there or not; `emoji` as the text policy spells it."""

    message_id: str
    user: User
    emoji: str
    present: bool


class Reacted(NamedTuple):
    """A message's reactions, as the one who reacted sees them."""

    message_id: str
    reactions: dict[str, ReactionCount]


_STANDING = """
SELECT m.room_id, EXISTS (SELECT 1 FROM members WHERE room_id = m.room_id AND user_id = :user_id)
FROM messages AS m JOIN rooms AS r ON r.id = m.room_id WHERE m.id = :message_id AND r.deleted_ms IS NULL
"""
_COUNTS = f"SELECT {REACTIONS_OF} FROM messages AS m WHERE m.id = :message_id"
_ADD = """
INSERT INTO reactions (message_id, emoji, user_id, reacted_ms) VALUES (:message_id, :emoji, :user_id, :now_ms)
"""
_REMOVE = "DELETE FROM reactions WHERE message_id = :message_id AND emoji = :emoji AND user_id = :user_id"


@single
async def react(tx: Transaction, ask: React) -> Reacted:
    """Add or remove a reaction; idempotent, and only a change makes an event.

    Raises `MessageNotFound`, `NotAMember`, `TooMany` (20 distinct emoji on a message).
    """
    asked = {"message_id": ask.message_id, "user_id": ask.user.id, "emoji": ask.emoji, "now_ms": tx.now_ms}
    standing = await tx.row(_STANDING, asked)
    if standing is None:
        raise MessageNotFound(ask.message_id)
    room_id, is_member = standing
    if not is_member:
        raise NotAMember(room_id)
    before = await _counts(tx, asked)
    mine = ask.emoji in before and before[ask.emoji].me
    if mine == ask.present:
        return Reacted(ask.message_id, before)
    if ask.present and ask.emoji not in before and len(before) >= EMOJI_PER_MESSAGE:
        raise TooMany(f"a message has at most {EMOJI_PER_MESSAGE} distinct reactions")
    tx.later(_ADD if ask.present else _REMOVE, asked)
    after = await _counts(tx, asked)
    count = after[ask.emoji].count if ask.emoji in after else 0
    op = "add" if ask.present else "remove"
    rev = await tx.log_room(room_id, op, user_id=ask.user.id, message_id=ask.message_id, emoji=ask.emoji, count=count)
    tx.rooms.append(
        ReactionChanged(
            room_id=room_id,
            rev=rev,
            message_id=ask.message_id,
            emoji=ask.emoji,
            user=ask.user,
            op="add" if ask.present else "remove",
            count=count,
        )
    )
    return Reacted(ask.message_id, after)


async def _counts(tx: Transaction, asked: dict[str, object]) -> dict[str, ReactionCount]:
    row = await tx.row(_COUNTS, asked)
    return read_reactions(msgspec.json.decode(row[0])) if row else {}
