"""A small service for deploys, standard library only: speaks the socket protocol, or takes `--port`.

`fault.txt` beside it says what all is wrong with this release: never_ready, crash_at_once, crash_on_coffee, answer_500,
wrong_version, count_500, ignore_term, leak, fill_disk, or "slow_answer".
"""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FAULT = (HERE / "fault.txt").read_text(encoding="utf-8").split()
VERSION = os.environ.get("OPSKIT_VERSION", "")
HOARD: list[bytes] = []


def reply(path: str) -> tuple[str, str]:
    """Status line and body for a path."""
    if path == "/version":
        version = "9.9.9" if "wrong_version" in FAULT else VERSION
        return "200 OK", json.dumps({"version": version, "commit": os.environ.get("OPSKIT_COMMIT", "")})
    if path == "/coffee" and "crash_on_coffee" in FAULT:
        os._exit(139)
    if path == "/coffee" and "answer_500" in FAULT:
        return "500 Internal Server Error", "no"
    if path == "/coffee" and "leak" in FAULT:
        HOARD.append(bytes(1 << 28))
        os._exit(137)
    if path == "/coffee" and "fill_disk" in FAULT:
        with Path(os.environ["DATA_DIR"], "filler").open("wb", buffering=0) as file:
            while file.write(bytes(1 << 20)):
                pass
    if path == "/metrics" and "count_500" in FAULT:
        return "200 OK", 'http_requests_total{code="200"} 40\nhttp_requests_total{code="500"} 4\n'
    if path == "/readyz" and "not_healthy" in FAULT:
        return "503 Service Unavailable", json.dumps({"failing": ["database"]})
    return "200 OK", f"{VERSION} {os.getpid()}"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request, one answer."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        status, body = reply(head.split(b" ")[1].decode())
        data = body.encode()
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data)
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


class Public:
    """Accepting on the public socket, or not."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.server: asyncio.Server | None = None

    async def accept(self) -> None:
        if self.server is None:
            self.server = await asyncio.start_server(serve, sock=socket.socket(fileno=os.dup(self.fd)), backlog=1024)

    def park(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None


async def main() -> None:
    print(f"service {VERSION} starts, fault {' '.join(FAULT)!r}", flush=True)
    if "crash_at_once" in FAULT:
        sys.exit("cannot open the database")
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    if "--port" in sys.argv:
        await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1]))
    else:
        names = os.environ["LISTEN_FDNAMES"].split(":")
        public = Public(3 + names.index("public"))
        private = socket.socket(fileno=3 + names.index("private"))
        await asyncio.start_server(serve, sock=private)
        loop.add_signal_handler(signal.SIGUSR1, lambda: loop.create_task(public.accept()))
        loop.add_signal_handler(signal.SIGUSR2, public.park)
    loop.add_signal_handler(signal.SIGTERM, (lambda: None) if "ignore_term" in FAULT else over.set)
    if "never_ready" not in FAULT and "NOTIFY_SOCKET" in os.environ:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(os.environ["NOTIFY_SOCKET"])
            notify.send(b"READY=1")
    await over.wait()
    await asyncio.sleep(0.05)  # what was accepted is answered


if __name__ == "__main__":
    asyncio.run(main())
