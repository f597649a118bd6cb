"""How long it takes for what one process commits to reach a client of another process on the same database.

`python -m loadtests.bench_crossing [ROUNDS]` starts two and prints a line per kind of event, in milliseconds.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from websockets.sync.client import ClientConnection, connect

from loadtests.bench import servers
from loadtests.bench.people import Api, Person

ROUNDS = 100
HEARD_WITHIN_S = 30.0


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with (
        tempfile.TemporaryDirectory(prefix="chat-crossing-") as data,
        servers.chat(CHAT_DATA_DIR=data) as one,
        servers.chat(CHAT_DATA_DIR=data) as other,
    ):
        print(table(measure(one.port, other.port, rounds=rounds)))


def table(waits_ms: dict[str, list[float]]) -> str:
    """The figures, a line per kind."""
    return "\n".join(
        f"{kind:12} median {statistics.median(waits):6.1f} ms   worst {max(waits):6.1f} ms   of {len(waits)}"
        for kind, waits in waits_ms.items()
    )


def measure(port: int, other_port: int, *, rounds: int) -> dict[str, list[float]]:
    """Milliseconds from the call on one process to the frame from the other, *rounds* for each kind of event."""
    here, there = Api(port), Api(other_port)
    ann, bob = here.register(), there.register()
    room_id = here.room(ann)
    path = f"/rooms/{room_id}"
    here.join(bob, room_id)
    waits: dict[str, list[float]] = {kind: [] for kind in ("message", "reaction", "cursor", "membership", "presence")}

    with ExitStack() as lines:
        lines.callback(here.close)
        lines.callback(there.close)
        line = lines.enter_context(_line(other_port, bob))

        def took(kind: str, act: Callable[[], Any], **frame: Any) -> Any:
            started_s = time.monotonic()
            done = act()
            _hear(line, **frame)
            waits[kind].append((time.monotonic() - started_s) * 1e3)
            return done

        def say() -> Any:
            return here.call("POST", f"{path}/messages", as_=ann, body={"content": "over there"})["message"]

        for _ in range(rounds):
            message, guest = took("message", say, type="message"), here.register()
            reaction = f"/messages/{message['id']}/reactions/%F0%9F%91%8D"
            took("reaction", partial(here.call, "PUT", reaction, as_=ann), type="reaction")
            seq = {"seq": message["seq"]}
            took("cursor", partial(here.call, "POST", f"{path}/read", as_=bob, body=seq), type="read")
            took("membership", partial(here.join, guest, room_id), type="member")
            took("presence", partial(lines.enter_context, _line(port, guest)), type="presence", online=True)
    return waits


@contextmanager
def _line(port: int, person: Person) -> Iterator[ClientConnection]:
    with connect(
        f"ws://127.0.0.1:{port}/chat",
        additional_headers={"Authorization": f"Bearer {person.token}"},
        compression=None,
        proxy=None,
        close_timeout=1,
    ) as line:
        line.recv(timeout=HEARD_WITHIN_S)  # hello
        yield line


def _hear(line: ClientConnection, **frame: Any) -> None:
    """Read up to a frame with these fields."""
    while True:
        heard = json.loads(line.recv(timeout=HEARD_WITHIN_S))
        if frame.items() <= heard.items():
            return


if __name__ == "__main__":
    main()
