"""The chat under attack, and what a login tells by the time it takes; attackers in a process of their own."""

import http.client
import json
import multiprocessing
import random
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

from loadtests.bench import servers
from loadtests.bench.people import PASSWORD, Api, Person
from loadtests.bench.service import talk
from loadtests.bench.table import Better, Figure

ATTACKED_S = 15.0
FLOODERS, DEAF, TRICKLES, TOKENLESS = 5, 20, 50, 5_000
LOGINS = 1_000
SETTINGS = {"CHAT_RATE_MESSAGES_PER_S": "1000", "CHAT_RATE_COMMANDS_PER_S": "30", "CHAT_HEARTBEAT_MS": "2000"}


def figures(_: list[str]) -> Iterator[Figure]:
    """How long others wait for an ack while all attackers are at it; how unlike two failing logins are."""
    calm_ms, attacked_ms = others_wait_ms()
    yield Figure("hostile.calm_p99_ms", _p99(calm_ms), Better.LOWER)
    yield Figure("hostile.others_p50_ms", statistics.median(attacked_ms), Better.LOWER)
    yield Figure("hostile.others_p99_ms", _p99(attacked_ms), Better.LOWER, 250)
    missing_ms, wrong_ms = login_ms()
    apart = abs(statistics.median(missing_ms) - statistics.median(wrong_ms))
    yield Figure("login.missing_user_ms", statistics.median(missing_ms), Better.LOWER)
    yield Figure("login.wrong_password_ms", statistics.median(wrong_ms), Better.LOWER)
    yield Figure("login.apart_share", apart / statistics.median(wrong_ms), Better.LOWER, 0.1)


def others_wait_ms() -> tuple[list[float], list[float]]:
    """Waits for acks of someone who talks: in a calm, then under attack."""
    with servers.chat(**SETTINGS) as server:
        api = Api(server.port)
        calm, bad = api.register(), [api.register() for _ in range(FLOODERS + DEAF)]
        room_id = api.room(calm)
        before = _waits_ms(server.port, calm, room_id, seconds=3)
        attack = multiprocessing.get_context("spawn").Process(target=_attack, args=(server.port, bad), daemon=True)
        attack.start()
        try:
            during = _waits_ms(server.port, calm, room_id, seconds=ATTACKED_S)
        finally:
            attack.kill()
            attack.join()
    return before, during


def _waits_ms(port: int, person: Person, room_id: str, *, seconds: float) -> list[float]:
    over, found = threading.Event(), list[float]()
    talking = threading.Thread(target=talk, args=(port, person, room_id, over, found), kwargs={"pause_s": 0.02})
    talking.start()
    over.wait(seconds)
    over.set()
    talking.join()
    return found


def _p99(waits: list[float]) -> float:
    return sorted(waits)[int(len(waits) * 0.99)]


def login_ms() -> tuple[list[float], list[float]]:
    """Times of logins that fail, for a missing user and for a wrong password, in random order, at bcrypt's cost 4."""
    with servers.chat() as server:
        api = Api(server.port)
        api.call("POST", "/auth/register", body={"username": "here-i-am", "password": PASSWORD})
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        times: dict[str, list[float]] = {"here-i-am": [], "nobody-is": []}
        for name in random.sample([*times] * LOGINS, 2 * LOGINS):
            body = json.dumps({"username": name, "password": "not this one"})
            started_s = time.perf_counter()
            connection.request("POST", "/auth/login", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            times[name].append((time.perf_counter() - started_s) * 1e3)
            if answer.status != 401:
                raise RuntimeError(f"login answered {answer.status}")
    return times["nobody-is"], times["here-i-am"]


# The attackers: threads of one process, which is killed in the end.


def _attack(port: int, bad: list[Person]) -> None:
    """Be every attacker at once until killed."""
    ways = [threading.Thread(target=_flood, args=(port, person), daemon=True) for person in bad[:FLOODERS]]
    ways += [threading.Thread(target=_hold, args=(port, bad[FLOODERS:]), daemon=True)]
    ways += [threading.Thread(target=_knock, args=(port,), daemon=True)]
    ways += [threading.Thread(target=_guess, args=(port,), daemon=True)]
    for way in ways:
        way.start()
    for way in ways:
        way.join()


def _connected(port: int, person: Person | None) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    lines = ["GET /chat HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
    if person is not None:
        lines += [f"{name}: {value}" for name, value in person.headers]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def _flood(port: int, person: Person) -> None:
    """Send commands as fast as the socket takes them; connect again when thrown out."""
    command = b'{"type":"typing","id":"x","room_id":"r_nowhere"}'
    frame = bytes([0x81, 0x80 | len(command)]) + bytes(4) + command  # RFC 6455 section 5.2, masked with zeros
    while True:
        with suppress(OSError), _connected(port, person) as connection:
            while connection.send(frame * 200):
                connection.setblocking(False)
                with suppress(BlockingIOError):
                    while connection.recv(65536):
                        pass
                connection.setblocking(True)
        time.sleep(0.05)


def _hold(port: int, people: list[Person]) -> None:
    """Connections that read nothing, and requests that come a byte at a time; all anew when dropped."""
    while True:
        held = [_connected(port, person) for person in people]
        slow = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(TRICKLES)]
        for byte in b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 20:
            for connection in slow:
                with suppress(OSError):
                    connection.send(bytes([byte]))
            time.sleep(0.1)
        for connection in (*held, *slow):
            connection.close()


def _knock(port: int) -> None:
    """Sockets without a token, one after the other."""
    for _ in range(TOKENLESS):
        with suppress(OSError), _connected(port, None) as connection:
            connection.recv(4096)


def _guess(port: int) -> None:
    """Passwords, one after the other."""
    api = Api(port)
    while True:
        with suppress(RuntimeError, OSError, http.client.HTTPException):
            api.call("POST", "/auth/login", body={"username": "bench1", "password": "guessing"})
