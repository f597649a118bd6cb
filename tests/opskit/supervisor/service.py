"""A service that speaks the socket protocol, standard library only, with faults on demand.

FAULT in its environment: never_ready, crash_at_once, ignore_term, fail_health; CRASH_IF and FAIL_IF name a file that,
while it exists, makes it crash at its start, or answer 503 to GET /readyz; START_S delays READY; LATE_ONCE names a file
that one start removes, and then never says READY. GET /crash ends it at once, GET /env shows its environment, GET /say
logs a line, anything else answers "VERSION PID".
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

FAULT = os.environ.get("FAULT", "")


class Service:
    """Accepts in one thread per listening socket, answers in one per connection."""

    def __init__(self) -> None:
        names = os.environ["LISTEN_FDNAMES"].split(":")
        assert os.environ["LISTEN_PID"] == str(os.getpid())
        assert int(os.environ["LISTEN_FDS"]) == len(names)
        self.sockets = {name: socket.socket(fileno=3 + at) for at, name in enumerate(names)}
        self.public = threading.Event()
        self.busy = 0
        self.lock = threading.Lock()

    def accept(self, name: str, wanted: threading.Event) -> None:
        listener = self.sockets[name]
        listener.setblocking(False)
        while True:
            try:
                wanted.wait()
                client, _ = listener.accept()
            except BlockingIOError:
                time.sleep(0.002)
                continue
            client.setblocking(True)
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    def answer(self, client: socket.socket) -> None:
        with self.lock:
            self.busy += 1
        try:
            with client:
                client.settimeout(10)
                head = b""
                while b"\r\n\r\n" not in head:
                    data = client.recv(65536)
                    if not data:
                        return
                    head += data
                path = head.split(b" ")[1].decode()
                if path == "/crash":
                    os._exit(3)
                status, body = "200 OK", f"{os.environ['OPSKIT_VERSION']} {os.getpid()}\n"
                if path == "/env":
                    body = json.dumps(dict(os.environ))
                if path == "/readyz" and (
                    FAULT == "fail_health" or Path(os.environ.get("FAIL_IF", "/nowhere")).exists()
                ):
                    status = "503 Service Unavailable"
                if path == "/say":
                    print("said", flush=True)
                head_out = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                client.sendall((head_out + body).encode())
        except OSError:
            return
        finally:
            with self.lock:
                self.busy -= 1

    def drain(self) -> None:
        time.sleep(0.05)  # a connection accepted a moment ago is not counted yet
        deadline = time.monotonic() + 2
        while self.busy and time.monotonic() < deadline:
            time.sleep(0.01)
        os._exit(0)


def main() -> None:
    print(f"service {os.environ.get('OPSKIT_VERSION')} starts with fault {FAULT!r}", flush=True)
    if FAULT == "crash_at_once" or Path(os.environ.get("CRASH_IF", "/nowhere")).exists():
        print("cannot open the database", file=sys.stderr, flush=True)
        sys.exit(7)
    service = Service()
    always = threading.Event()
    always.set()
    signals = {signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    for name, wanted in (("public", service.public), ("private", always)):
        threading.Thread(target=service.accept, args=(name, wanted), daemon=True).start()
    time.sleep(float(os.environ.get("START_S", "0")))
    late = Path(os.environ.get("LATE_ONCE", "/nowhere"))
    once = late.exists()
    late.unlink(missing_ok=True)
    if FAULT != "never_ready" and not once:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect(os.environ["NOTIFY_SOCKET"])
            notify.send(b"READY=1\nSTATUS=here")
    while True:
        match signal.sigwait(signals):
            case signal.SIGUSR1:
                service.public.set()
            case signal.SIGUSR2:
                service.public.clear()
            case signal.SIGTERM if FAULT != "ignore_term":
                service.public.clear()
                service.drain()


if __name__ == "__main__":
    main()
