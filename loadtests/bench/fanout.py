"""How much a delivery costs, and how soon the last of a thousand hears a message; the chat beside its peers."""

import contextlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loadtests.bench import servers
from loadtests.bench.people import crowd
from loadtests.bench.servers import Server
from loadtests.bench.swarm import Client, Swarm

TEXT = "The quick brown fox jumps over the lazy dog. " * 2
MARKER = b'"type":"message"'
# What peers send is as long as the chat's own event, so that bytes on the wire are equal.
PEER_PAYLOAD = json.dumps({"type": "message", "pad": "x" * 420, "content": TEXT}, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Stage:
    """A server with its audience connected: how to send message number n, and everyone who hears it."""

    server: Server
    swarm: Swarm
    send: Callable[[int], None]

    @property
    def audience(self) -> int:
        """How many hear each message."""
        return len(self.swarm.clients)


@contextlib.contextmanager
def chat_stage(size: int, *, viewing: bool = True, direct: bool = True, sockets_each: int = 1) -> Iterator[Stage]:
    """The chat with one room that *size* connections hear, of members with *sockets_each* connections.

    *direct*: frames go straight to the transport.
    """
    with servers.chat(CHAT_DIRECT_WRITES="on" if direct else "off") as server:
        room_id, people = crowd(server.port, size // sockets_each)
        swarm = Swarm(MARKER)
        view = json.dumps({"type": "view", "id": "v", "room_id": room_id if viewing else None}).encode()
        swarm.connect_all(server.port, "/chat", [one.headers for one in people] * sockets_each, greeting=view)
        swarm.settle(1.0)
        first = swarm.clients[0]

        def send(number: int) -> None:
            command = {"type": "message", "id": f"i{number}", "room_id": room_id, "content": TEXT}
            first.send_text(json.dumps(command).encode())

        yield Stage(server, swarm, send)
        swarm.close()


@contextlib.contextmanager
def peer_stage(start: Callable[[], contextlib.AbstractContextManager[Server]], size: int) -> Iterator[Stage]:
    """A peer that sends each text to all of *size* connections."""
    with start() as server:
        swarm = Swarm(MARKER)
        swarm.connect_all(server.port, "/", [()] * size)
        swarm.settle()
        yield Stage(server, swarm, lambda _: swarm.clients[0].send_text(PEER_PAYLOAD))
        swarm.close()


@contextlib.contextmanager
def socketio_stage(size: int) -> Iterator[Stage]:
    """Socket.IO with *size* connections in one room, spoken to with Engine.IO v4 packets over WebSocket."""
    with servers.node("Socket.IO", "socketio.js") as server:
        swarm = Swarm(MARKER.replace(b'"', b'\\"'))
        swarm.connect_all(server.port, "/socket.io/?EIO=4&transport=websocket", [()] * size, greeting=b"40")
        swarm.settle(1.0)
        packet = b"42" + json.dumps(["m", PEER_PAYLOAD.decode()], separators=(",", ":")).encode()
        yield Stage(server, swarm, lambda _: swarm.clients[0].send_text(packet))
        swarm.close()


@dataclass(frozen=True, slots=True)
class Throughput:
    """Deliveries per second of wall time, and the server's processor time for one, in microseconds."""

    deliveries_per_s: float
    cpu_us: float


def throughput(stage: Stage, *, messages: int, in_flight: int = 32) -> Throughput:
    """Send *messages* with at most *in_flight* not yet heard by everyone."""
    stage.swarm.reset()
    for warm in range(in_flight):
        stage.send(-1 - warm)
    _await(stage, in_flight * stage.audience)
    stage.swarm.reset()
    cpu_s, started_s, sent = stage.server.cpu_s(), time.monotonic(), 0
    while sent < messages:
        room_left = in_flight - (sent - stage.swarm.received // stage.audience)
        for _ in range(min(room_left, messages - sent)):
            stage.send(sent)
            sent += 1
        wanted = (sent - in_flight + 1) * stage.audience
        _await(stage, wanted)
    _await(stage, messages * stage.audience)
    wall_s, used_s = time.monotonic() - started_s, stage.server.cpu_s() - cpu_s
    heard = messages * stage.audience
    return Throughput(heard / wall_s, used_s / heard * 1e6)


def _await(stage: Stage, heard: int) -> None:
    if not stage.swarm.pump(lambda: stage.swarm.received >= heard, deadline_s=120):
        raise TimeoutError(f"{stage.server.name}: heard {stage.swarm.received} of {heard} deliveries in 120 s")


def last_heard_ms(stage: Stage, *, messages: int, acked: bool) -> tuple[float, float]:
    """Medians, in ms, of one message at a time: (from send to commit, from there to the last recipient).

    The commit is seen as the ack that the sender gets; a peer commits nothing, so its first figure is 0.
    """
    commits, spreads = [], []
    for number in range(messages + 3):
        stage.swarm.reset()
        sent_s = time.monotonic()
        stage.send(number)
        committed_s = _ack_at_s(stage.swarm, stage.swarm.clients[0]) if acked else sent_s
        _await(stage, stage.audience)
        last_s = max(client.last_at_s for client in stage.swarm.clients)
        if number >= 3:  # the first few warm the caches
            commits.append((committed_s - sent_s) * 1e3)
            spreads.append((last_s - committed_s) * 1e3)
    return statistics.median(commits), statistics.median(spreads)


def _ack_at_s(swarm: Swarm, sender: Client) -> float:
    before_s = sender.last_at_s
    swarm.pump(lambda: sender.last_at_s > before_s, deadline_s=30)
    return sender.last_at_s
