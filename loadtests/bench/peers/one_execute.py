"""Peer: an ordinary application's durable send, one `databases.execute` per message outside a held connection.

`python one_execute.py SENDERS SECONDS` prints how many messages a second SENDERS tasks store in SQLite. The file is in
WAL mode, which stays with it; `synchronous` is FULL, SQLite's own default, as PRAGMAs do not outlive such a call.
"""

import asyncio
import sys
import tempfile
import time

from databases import Database

TABLE = "CREATE TABLE messages (id INTEGER PRIMARY KEY, room_id TEXT, sender_id TEXT, sent_ms INTEGER, content TEXT)"
INSERT = "INSERT INTO messages (room_id, sender_id, sent_ms, content) VALUES (:room_id, :sender_id, :sent_ms, :content)"


async def main(senders: int, seconds: float) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="one-execute-") as folder:
        async with Database(f"sqlite+aiosqlite:///{folder}/messages.db", timeout=60) as database:
            await database.execute("PRAGMA journal_mode = WAL")
            await database.execute(TABLE)
            started_s = time.monotonic()

            async def send(sender: int) -> int:
                stored = 0
                while time.monotonic() - started_s < seconds:
                    row = {"room_id": f"r_{sender}", "sender_id": f"u_{sender}", "content": "durable hello"}
                    await database.execute(INSERT, row | {"sent_ms": time.time_ns() // 1_000_000})
                    stored += 1
                return stored

            stored = sum(await asyncio.gather(*(send(sender) for sender in range(senders))))
            print(stored / (time.monotonic() - started_s))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
