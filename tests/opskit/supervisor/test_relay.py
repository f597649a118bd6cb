"""A service that only takes a port, behind the relay."""

import os
import resource
import shlex
import signal
import socket
import time
from pathlib import Path

import pytest

from opskit.deploy.control import ChildState, LaunchFailed
from tests.opskit.supervisor.harness import BASE, Load, Target, alive, get, processes_of, wait_for

HTTP_SERVER = shlex.join([BASE, "-m", "http.server", "--bind", "127.0.0.1"]) + " {port}"
ECHO = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = listener.accept()
    data = b""
    while part := client.recv(65536):
        data += part
    client.sendall(b"%d bytes" % len(data))
    client.close()
"""

SLOW = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = listener.accept()
    if client.recv(65536):
        time.sleep(1.5)
        client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\nlate")
    client.close()
"""
UPGRADE = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client, _ = listener.accept()
    if client.recv(65536):
        client.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n")
        client.recv(65536)
    client.close()
"""


def page(target: Target, version: str) -> str:
    """A release whose page says its version; returns its command."""
    directory = Path(target.spec(version).release.dir)
    (directory / "index.html").write_text(version, encoding="utf-8")
    return HTTP_SERVER


def address(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def test_a_service_that_only_takes_a_port_is_served_privately_then_publicly(shared: Target) -> None:
    child = shared.control.launch(shared.spec("1.0.0", command=page(shared, "1.0.0")))
    assert get(child.private_url) == "1.0.0"
    status = shared.control.cut_over()
    assert get(status.public_url) == "1.0.0"


def test_the_port_may_be_asked_for_in_the_environment(shared: Target) -> None:
    command = f"/bin/sh -c 'exec {BASE} -m http.server --bind 127.0.0.1 $PORT'"
    page(shared, "1.0.0")
    child = shared.control.launch(shared.spec("1.0.0", command=command, env={"PORT": "{port}"}))
    assert get(child.private_url) == "1.0.0"


def test_cut_over_and_return_fail_no_request(shared: Target) -> None:
    shared.deploy("1.0.0", command=page(shared, "1.0.0"))
    with Load(shared.control.status().public_url, per_s=50) as load:
        shared.deploy("2.0.0", command=page(shared, "2.0.0"))
        load.until(load.done + 20)
        shared.control.return_to_parked()
        load.until(load.done + 20)
    assert load.failures == []
    assert set(load.answers) == {"1.0.0", "2.0.0"}


def test_a_service_that_crashes_takes_its_relay_with_it_and_both_are_back(shared: Target) -> None:
    shared.deploy("1.0.0", command=page(shared, "1.0.0"))
    running = shared.control.status().running
    assert running is not None
    service = int(Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text(encoding="ascii"))
    os.kill(service, signal.SIGKILL)
    after = wait_for(lambda: (now := shared.control.status().running) and now.pid not in (0, running.pid) and now)
    assert after.last_exit == "killed by signal 9"
    assert shared.get() == "1.0.0"


def test_a_killed_relay_leaves_no_service_behind(shared: Target) -> None:
    running = shared.deploy("1.0.0", command=page(shared, "1.0.0")).running
    assert running is not None
    service = int(Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text(encoding="ascii"))
    os.kill(running.pid, signal.SIGKILL)
    wait_for(lambda: not alive(service))
    assert shared.get() == "1.0.0"


def test_a_half_closed_connection_still_gets_its_answer(target: Target) -> None:
    status = target.deploy("1.0.0", command=shlex.join([BASE, "-c", ECHO, "{port}"]))
    with socket.create_connection(address(status.public_url), timeout=5) as client:
        client.sendall(b"x" * 300_000)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b"300000 bytes"


def test_a_parked_relay_lets_a_busy_connection_finish(target: Target) -> None:
    echo = shlex.join([BASE, "-c", ECHO, "{port}"])
    status = target.deploy("1.0.0", command=echo, drain_s=5)
    with socket.create_connection(address(status.public_url), timeout=5) as busy:
        busy.sendall(b"first half, ")
        time.sleep(0.1)  # the cut-over must find it connected
        target.deploy("2.0.0", command=echo)
        busy.sendall(b"second half")
        busy.shutdown(socket.SHUT_WR)
        assert busy.recv(100) == b"23 bytes"


def test_a_parked_relay_lets_a_request_finish_that_takes_longer_than_the_drain(target: Target) -> None:
    slow = shlex.join([BASE, "-c", SLOW, "{port}"])
    status = target.deploy("1.0.0", command=slow, drain_s=0.3)
    with socket.create_connection(address(status.public_url), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        time.sleep(0.1)  # the cut-over must find it under way
        target.deploy("2.0.0", command=slow, drain_s=0.3)
        assert client.recv(100).endswith(b"late")


def test_a_parked_relay_closes_a_websocket_after_the_drain(target: Target) -> None:
    sockets = shlex.join([BASE, "-c", UPGRADE, "{port}"])
    status = target.deploy("1.0.0", command=sockets, drain_s=0.8)
    with socket.create_connection(address(status.public_url), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 101 ")
        target.deploy("2.0.0", command=sockets, drain_s=0.8)
        parked_at = time.monotonic()
        assert client.recv(100) == b""
        assert 0.5 < time.monotonic() - parked_at < 3


def test_a_parked_relay_closes_a_connection_that_is_idle_between_requests(target: Target) -> None:
    command = page(target, "1.0.0") + " --protocol HTTP/1.1"
    status = target.deploy("1.0.0", command=command, drain_s=30)
    with socket.create_connection(address(status.public_url), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        answer = b""
        while not answer.endswith(b"1.0.0"):
            answer += client.recv(4096)
        page(target, "2.0.0")
        target.deploy("2.0.0", command=command)
        assert client.recv(4096) == b""


def test_a_relayed_service_that_cannot_start_fails_its_launch(shared: Target) -> None:
    with pytest.raises(LaunchFailed, match="exited with 1") as failed:
        shared.control.launch(shared.spec("1.0.0", command="no-such-program {port}"))
    assert "no-such-program" in failed.value.log_tail[-1]


def test_stop_ends_relay_and_service(target: Target) -> None:
    status = target.deploy("1.0.0", command=page(target, "1.0.0"))
    assert status.running is not None
    assert status.running.state is ChildState.PUBLIC
    target.control.stop()
    assert processes_of(target.state_dir) == []


def test_a_relay_out_of_descriptors_waits_without_spinning_and_goes_on(target: Target) -> None:
    status = target.deploy("1.0.0", command=page(target, "1.0.0"))
    assert status.running is not None
    pid = status.running.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    taken = [int(fd.name) for fd in Path(f"/proc/{pid}/fd").iterdir()]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(taken) + 1, hard))
    clients = [socket.create_connection(address(status.public_url), timeout=10) for _ in range(8)]
    began, before_s = time.monotonic(), cpu_s(pid)
    wait_for(lambda: time.monotonic() > began + 1)
    spent_s = cpu_s(pid) - before_s
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert spent_s < 0.3
    for client in clients:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as answer:
            assert answer.read().endswith(b"\r\n\r\n1.0.0")
        client.close()


def cpu_s(pid: int) -> float:
    """Processor time that *pid* has used, in seconds (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
