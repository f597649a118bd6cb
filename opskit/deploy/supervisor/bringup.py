"""Bringing a target's keeper and supervisor up: the state directory, their copy, the socket, two detached processes."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from opskit.deploy.control import Control
from opskit.deploy.durable import write_atomically
from opskit.deploy.keeper import HELD, command
from opskit.deploy.sockets import holder_of, is_taken, listen
from opskit.deploy.supervisor import copies, process, strays
from opskit.errors import OpskitError, Refused, UsageFault

START_S = 15.0


def ensure_running(target: str, state_dir: Path, bind: str, *, upgrade: bool = True) -> Control:
    """See `opskit.deploy.control.ensure_running`."""
    state_dir = Path(state_dir).expanduser().absolute()
    with _writable(state_dir):
        (state_dir / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        state_dir.chmod(0o700)
        lock = os.open(state_dir / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        control = Control(state_dir)
        if control.alive():
            _refuse_another_bind(state_dir, bind)
            if upgrade:
                _upgrade(control, state_dir)
        else:
            _start(control, target, state_dir, bind)
    finally:
        os.close(lock)
    return control


def start_command(target: str) -> list[str]:
    """The keeper's command, for a systemd unit or `@reboot`; to run in `{state_dir}/opskit/current`."""
    return command("keeper", target, python=copies.interpreter())


@contextlib.contextmanager
def _writable(state_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        said = fault.strerror or str(fault)
        raise Refused(
            f"the state directory {state_dir} cannot be written: {said}",
            remedy="free space or mend its owner and mode, or set state_dir to another directory",
        ) from fault


def _refuse_another_bind(state_dir: Path, bind: str) -> None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        now = json.loads((state_dir / "keeper.json").read_text(encoding="utf-8"))["bind"]
        if now != bind:
            raise Refused(
                f"the target is held up on {now}; bind says {bind}",
                remedy="`opskit stop` ends it, then deploy to the new address",
            )


def _upgrade(control: Control, state_dir: Path) -> None:
    running = copies.Copy(control.status().copy, "")
    with contextlib.suppress(OSError, ValueError, KeyError):
        current = copies.current(state_dir)
        running = current if current.id == running.id else running
    if copies.of_this_opskit().succeeds(running):
        with _writable(state_dir):
            copies.install(state_dir)
        control.upgrade()


def _start(control: Control, target: str, state_dir: Path, bind: str) -> None:
    strays.kill_services(state_dir)
    with _bound(bind) as public, _writable(state_dir):
        copies.install(state_dir)
        write_atomically(state_dir / "keeper.json", json.dumps({"target": target, "bind": bind}).encode() + b"\n")
        errors = os.open(state_dir / "logs/opskit.err", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _detach(target, state_dir, public, errors)
        finally:
            os.close(errors)
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(Refused):
            control.status()
            return
        if time.monotonic() > deadline:
            tail = (state_dir / "logs/opskit.err").read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
            raise Refused(f"keeper and supervisor did not come up within {START_S:g} s: {' '.join(tail)}")
        time.sleep(0.02)


@contextlib.contextmanager
def _bound(bind: str) -> Iterator[socket.socket]:
    try:
        public = listen(bind)
    except ValueError as fault:
        raise UsageFault(str(fault), remedy="mend bind of the target") from fault
    except OSError as fault:
        raise _unbindable(bind, fault) from fault
    with public:
        yield public


def _unbindable(bind: str, fault: OSError) -> OpskitError:
    if is_taken(fault):
        holder = holder_of(bind)
        who = f"process {holder} ({_command_of(holder)})" if holder else "another user's process"
        return Refused(f"{bind} is taken by {who}", remedy="stop that, or set bind to a free port")
    if fault.errno == errno.EACCES:
        return Refused(f"{bind} may not be bound: {fault.strerror}", remedy="use a port above 1023, or the capability")
    return Refused(f"{bind} cannot be bound: {fault.strerror or fault}", remedy="mend bind of the target")


def _command_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "gone by now"
    return b" ".join(words).decode("utf-8", "replace").strip()[:80]


def _detach(target: str, state_dir: Path, public: socket.socket, errors: int) -> None:
    """Start the keeper so that it outlives this process, its session and its terminal (daemon(7))."""
    env = {**process.base_environment(), HELD: json.dumps({"public": process.FIRST_FD})}
    detach = ["/bin/sh", "-c", '"$@" &', "sh", *start_command(target)]
    shell = process.spawn(
        detach, cwd=str(state_dir / "opskit/current"), env=env, sockets=(public.fileno(),), output=errors
    )
    os.waitpid(shell, 0)
