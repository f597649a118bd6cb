"""The counts of reactions in history always equal the rows."""

import asyncio
import random
import sqlite3
from collections import Counter
from contextlib import closing

from tests.chat.conversation.world import World, history
from tests.chat.server import nonce

EMOJI = ["👍", "☕", "☕️", "👍🏽", "🇩🇪", "1️⃣", "👩‍👩‍👧‍👦", "❤", "❤️"]


async def test_counts_in_history_equal_the_rows_whoever_reacts_wherever(world: World) -> None:
    dice, room_id = random.Random(7), world.rooms[0]["id"]
    for n in range(3):
        await world.phones[0][n % 2].say(room_id, f"message {n}", nonce("c"))
    messages = [m["id"] for phone in world.phones[0] for m in phone.acked.values()]
    for _ in range(6):
        asked = [
            world.phones[who][dice.randrange(2)].ask(
                dice.choice(["react", "react", "unreact"]), message_id=dice.choice(messages), emoji=dice.choice(EMOJI)
            )
            for who in (0, 1, 2)
            for _ in range(8)
        ]
        answers = await asyncio.gather(*asked)
        assert all(answer is not None and answer["type"] == "ack" for answer in answers), answers
        rows = [row for row in stored(world) if row[0] in messages]
        for who, http in ((0, 0), (1, 1), (2, 0)):
            for message in await history(world.https[http], world.people[who], room_id):
                mine = {emoji for m, emoji, user in rows if (m, user) == (message["id"], world.people[who].id)}
                counts = Counter(emoji for m, emoji, _ in rows if m == message["id"])
                assert message["reactions"] == {
                    emoji: {"count": count, "me": emoji in mine} for emoji, count in counts.items()
                }
    kept = {emoji for message_id, emoji, _ in stored(world) if message_id in messages}
    assert kept <= {"👍", "☕", "👍🏽", "🇩🇪", "1️⃣", "👩‍👩‍👧‍👦", "❤️"}  # fully qualified
    await world.settle()


def stored(world: World) -> list[tuple[str, str, str]]:
    """All reactions in the database: message, emoji, user."""
    with closing(sqlite3.connect(world.servers[0].data_dir / "chat.db")) as db:
        return db.execute("SELECT message_id, emoji, user_id FROM reactions").fetchall()
