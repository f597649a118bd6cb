"""The keeper: holds the sockets and whatever else must outlive the supervisor, and revives the supervisor.

It runs as `opskit-keeper TARGET` in the directory of its copy, `{state_dir}/opskit/<id>`. Everything it holds is a
name and a descriptor: its own `public`, `control` and `notify`, and what the supervisor stored. Each supervisor gets
one end of a fresh SOCK_SEQPACKET pair as descriptor 3 and sends `hello`, `store`, `drop`, `alive`, `upgrade` or
`quit`, one JSON object a packet; the keeper answers `hello` with all it holds, and reports orphans it reaped as `exit`.
An upgrade is an exec in place: same process, same children, same descriptors, new code.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from opskit import __version__
from opskit.deploy.sockets import bind_unix, listen, notify_path

HELD = "OPSKIT_KEEPER_HELD"  # JSON {name: descriptor}, over an exec
SUPERVISOR = "OPSKIT_KEEPER_SUPERVISOR"  # the supervisor's process id, over an exec
CHANNEL = 3
SILENT_S = 15.0  # a supervisor that says nothing for so long hangs; meanwhile nobody empties the log pipes (1 MiB)
_PR_SET_CHILD_SUBREAPER = 36
_NOFILE = 65536  # descriptors a service may have; a shell's 1024 are few for one with a socket per user
_ERR_LIMIT_BYTES = 1_000_000
_QUIT_S = 10.0  # for the kernel to end what was killed
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def command(word: str, target: str, *, python: str = "") -> list[str]:
    """The command line of `opskit-WORD TARGET`; without `python` the running interpreter, if it still exists."""
    python = python or (sys.executable if Path(sys.executable).exists() else "/usr/bin/python3")
    return [python, "-E", "-s", "-S", "-m", f"opskit-{word}", target]


def become_keeper(target: str, held: dict[str, int], *, state_dir: Path, supervisor: int = 0) -> NoReturn:
    """Turn this process into the keeper of the current copy; children and *held* descriptors stay.

    The keeper does it to upgrade itself, and a supervisor whose keeper died does it to take its place.
    """
    for fd in held.values():
        os.set_inheritable(fd, True)
    _enter_copy(state_dir)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # what comes before the new code listens waits for it
    argv = command("keeper", target)
    passed = {HELD: json.dumps(held), SUPERVISOR: str(supervisor)}
    os.execve(argv[0], argv, {**os.environ, **passed})  # noqa: S606 - a list, no shell


def _enter_copy(state_dir: Path) -> None:
    """Go into the current copy's directory; while there is none, the copy that runs stays the one to start from."""
    with contextlib.suppress(OSError):
        os.chdir(state_dir / "opskit" / "current")


class Keeper:
    """Holds descriptors by name; one supervisor at a time."""

    def __init__(self, target: str, state_dir: Path, held: dict[str, int]) -> None:
        self.target, self.state_dir = target, state_dir
        self.channel = socket.socket(fileno=held.pop("channel")) if "channel" in held else None
        self.supervisor = int(os.environ.pop(SUPERVISOR, "0"))
        self.held = held
        self.exits: list[tuple[int, int]] = []  # of orphans, newest last
        self.started = self.heard = time.monotonic()
        self.short_lives = 0
        self.stopping = False
        self.selector = selectors.DefaultSelector()
        self.wake, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, *_SIGNALS):
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self.selector.register(self.wake, selectors.EVENT_READ)
        if self.channel:
            self.selector.register(self.channel, selectors.EVENT_READ)

    def run(self) -> NoReturn:
        """Hold and revive until told to quit."""
        while True:
            self.reap()
            wait = self.heard + SILENT_S - time.monotonic()
            if not self.supervisor:
                wait = self.started + min(0.1 * 2**self.short_lives, 5) - time.monotonic()
                if wait <= 0 or self.short_lives == 0:
                    self.revive()
                    wait = SILENT_S
            happened = self.selector.select(max(wait, 0))
            if not happened and self.supervisor and time.monotonic() > self.heard + SILENT_S:
                os.kill(self.supervisor, signal.SIGKILL)  # it hangs: it says that it is alive every second
                self.heard = time.monotonic()
            for key, _ in happened:
                if key.fd == self.wake:
                    if self.told_to_stop():
                        if self.stopping:  # a second SIGTERM: without the supervisor's help
                            self.quit()
                        self.stopping = True
                        self.tell(do="stop")
                else:
                    self.hear()

    def told_to_stop(self) -> bool:
        """Whether a SIGTERM has come since this was last asked."""
        try:
            return signal.SIGTERM in os.read(self.wake, 512)
        except BlockingIOError:
            return False

    def revive(self) -> None:
        """Start a supervisor from the current copy, with one end of a fresh channel."""
        if self.channel:
            self.selector.unregister(self.channel)
            self.channel.close()
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.selector.register(self.channel, selectors.EVENT_READ)
        _enter_copy(self.state_dir)
        high = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 64)  # not CHANNEL itself: dup2 would leave it close-on-exec
        errors = self.error_log()
        try:
            argv = command("supervisor", self.target)
            actions = [(os.POSIX_SPAWN_DUP2, errors, 1), (os.POSIX_SPAWN_DUP2, errors, 2)]
            actions.append((os.POSIX_SPAWN_DUP2, high, CHANNEL))
            self.started = self.heard = time.monotonic()
            self.supervisor = os.posix_spawn(argv[0], argv, dict(os.environ), file_actions=actions)
        except OSError as fault:
            self.short_lives += 1
            print(f"opskit: the supervisor could not be started: {fault}", file=sys.stderr, flush=True)
        finally:
            os.close(high)
            os.close(errors)
            theirs.close()

    def error_log(self) -> int:
        """A descriptor for what keeper and supervisor print when all else fails; one older file is kept."""
        path = self.state_dir / "logs" / "opskit.err"
        with contextlib.suppress(OSError):
            if path.stat().st_size > _ERR_LIMIT_BYTES:
                path.rename(path.with_suffix(".err.1"))
        try:
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def reap(self) -> None:
        """Collect what ended: the supervisor, and orphans, whose exit only their parent can learn."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                if pid == self.supervisor:
                    self.supervisor = 0
                    lived_s = time.monotonic() - self.started
                    self.short_lives = 0 if lived_s > 5 else self.short_lives + 1
                else:
                    self.exits = [*self.exits[-99:], (pid, os.waitstatus_to_exitcode(status))]
                    self.tell(do="exit", pid=pid, exit=self.exits[-1][1])

    def tell(self, fd: int | None = None, **message: Any) -> None:
        """Send the supervisor one packet; one that is gone or stuck learns it at its next hello."""
        if self.channel:
            with contextlib.suppress(OSError):
                packet = json.dumps(message).encode()
                socket.send_fds(self.channel, [packet], [] if fd is None else [fd], socket.MSG_DONTWAIT)

    def hear(self) -> None:
        """Do what one packet of the supervisor asks."""
        if self.channel is None:
            return
        try:
            packet, fds, _, _ = socket.recv_fds(self.channel, 65536, 1)
        except OSError:
            packet, fds = b"", []
        self.heard = time.monotonic()
        if not packet:
            self.selector.unregister(self.channel)
            self.channel.close()
            self.channel = None
            return
        message = json.loads(packet)
        match message["do"]:
            case "hello":
                for name, fd in self.held.items():
                    self.tell(fd, do="held", name=name)
                for pid, status in self.exits:
                    self.tell(do="exit", pid=pid, exit=status)
                self.tell(do="end", pid=os.getpid(), version=__version__)
                if self.stopping:
                    self.tell(do="stop")
            case "store" if fds:  # none: this process was out of descriptors
                self.drop(message["name"])
                self.held[message["name"]] = fds[0]
                os.set_inheritable(fds[0], False)  # recv_fds cannot
            case "drop":
                self.drop(message["name"])
            case "upgrade":
                self.upgrade({**self.held, "channel": self.channel.fileno()})
            case "quit":
                self.quit()

    def upgrade(self, held: dict[str, int]) -> NoReturn:
        """Become the current copy. A pending SIGTERM outlives the exec; what is known here of one does not."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        if self.told_to_stop() or self.stopping:
            os.kill(os.getpid(), signal.SIGTERM)
        become_keeper(self.target, held, state_dir=self.state_dir, supervisor=self.supervisor)

    def drop(self, name: str) -> None:
        if name in self.held:
            os.close(self.held.pop(name))

    def quit(self) -> NoReturn:
        """Leave nothing behind: no socket, no process, the supervisor last."""
        notify = Path(socket.socket(fileno=self.held.pop("notify")).getsockname())
        for path in (self.state_dir / "control.sock", notify):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # made for a state directory with a long name; else it is not empty
            notify.parent.rmdir()
        for fd in self.held.values():
            os.close(fd)
        began = time.monotonic()
        listed = Path(f"/proc/self/task/{os.getpid()}/children")
        while (children := listed.read_text().split()) and time.monotonic() < began + _QUIT_S:
            for pid in map(int, children):
                if pid != self.supervisor or time.monotonic() > began + 2:
                    os.kill(pid, signal.SIGKILL)
            self.reap()
            time.sleep(0.02)
        sys.exit(0)


def _inherited(state_dir: Path) -> dict[str, int]:
    """What this keeper starts with: from the exec before it, from systemd, or bound anew."""
    held: dict[str, int] = json.loads(os.environ.pop(HELD, "{}"))
    if "public" not in held and os.environ.get("LISTEN_PID") == str(os.getpid()):
        held["public"] = 3  # sd_listen_fds(3): a socket unit's socket
    for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - names wanted, not paths
        if fd > 2 and fd not in held.values():
            with contextlib.suppress(OSError):  # what a shell or a CI runner left open
                os.close(fd)
    if "public" not in held:
        settings = json.loads((state_dir / "keeper.json").read_text(encoding="utf-8"))
        held["public"] = listen(settings["bind"]).detach()
    if "control" not in held:
        held["control"] = bind_unix(state_dir / "control.sock", socket.SOCK_STREAM).detach()
    with socket.socket(fileno=os.dup(held["control"])) as control:
        control.listen(128)  # again, so that SO_PEERCRED names this process whoever bound it
    if "notify" not in held:
        notify = bind_unix(notify_path(state_dir), socket.SOCK_DGRAM)
        notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        held["notify"] = notify.detach()
    for fd in held.values():
        os.set_inheritable(fd, False)
    return held


def main() -> NoReturn:
    """Run as the keeper of the target named on the command line, from the directory of the copy."""
    target, state_dir = sys.argv[1], Path.cwd().parents[1]
    os.umask(0o022)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _NOFILE) if hard > 0 else _NOFILE, hard))
    with contextlib.suppress(OSError):  # without it orphans go to init: their exit status is then unknown
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        held = _inherited(state_dir)
    except (OSError, ValueError, LookupError) as fault:
        sys.exit(f"opskit-keeper: {state_dir / 'keeper.json'}: {fault}; `opskit start` writes it anew")
    Keeper(target, state_dir, held).run()
