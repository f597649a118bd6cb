"""Processes of services: their environment, how they are started with sockets and a log, and what remains of them."""

import contextlib
import fcntl
import os
import pwd
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from opskit.deploy.control import LaunchSpec

FIRST_FD = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)
INSTANCE = "OPSKIT_INSTANCE"  # marks a service's processes, so that strays are known
_SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# sh knows its own process id, which LISTEN_PID must be, and exec keeps it.
_LAUNCHER = 'cd "$1" || exit 125; shift; LISTEN_PID=$$; export LISTEN_PID; exec "$@"'
_RESET = (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGHUP)


def base_environment(path_prepend: Sequence[str] = ()) -> dict[str, str]:
    """The minimal environment: who and where, the system's PATH, UTF-8."""
    try:
        account = pwd.getpwuid(os.getuid())
        home, name = account.pw_dir, account.pw_name
    except KeyError:  # a container's arbitrary user id
        home, name = "/", str(os.getuid())
    path = (*path_prepend, *_SYSTEM_PATH, str(Path(sys.executable).parent))
    return {"HOME": home, "USER": name, "LOGNAME": name, "LANG": "C.UTF-8", "PATH": ":".join(dict.fromkeys(path))}


def environment(spec: LaunchSpec, *, notify: str, instance: str) -> dict[str, str]:
    """What a release's processes get: minimal, the release's, then the protocol's."""
    return {
        **base_environment(spec.path_prepend),
        "PYTHONFAULTHANDLER": "1",  # so that the stop ladder's SIGABRT prints every thread's stack
        **spec.env,
        "OPSKIT_VERSION": spec.release.version,
        "OPSKIT_COMMIT": spec.release.commit,
        INSTANCE: instance,
        "LISTEN_FDS": "2",
        "LISTEN_FDNAMES": "public:private",
        "NOTIFY_SOCKET": notify,
    }


def spawn(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], sockets: Sequence[int], output: int) -> int:
    """Start *argv* in a session of its own with *sockets* as descriptors 3 and on; returns its process id."""
    sources = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in (output, output, *sockets)]
    targets = [1, 2, *range(FIRST_FD, FIRST_FD + len(sockets))]
    actions: list[tuple[int, int, int]] = [
        (os.POSIX_SPAWN_DUP2, source, target) for source, target in zip(sources, targets, strict=True)
    ]
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    command = ["/bin/sh", "-c", _LAUNCHER, "sh", cwd, *argv]
    try:
        return os.posix_spawn(
            command[0],
            command,
            dict(env),
            file_actions=[nothing, *actions],
            setsid=True,
            setsigdef=_RESET,
            setsigmask=(),
        )
    finally:
        for fd in sources:
            os.close(fd)


def split(command: str) -> list[str]:
    """The words of a configured command; raises ValueError on an open quote or nothing at all."""
    words = shlex.split(command)
    if not words:
        raise ValueError("the command is empty")
    return words


def pid_of(pidfd: int) -> int:
    """The process behind a pidfd; -1 or 0 when it is gone and reaped."""
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text(encoding="ascii").splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    return -1


def signal_to(pidfd: int, number: signal.Signals) -> bool:
    """Send a signal; False if the process has ended."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def exit_code(pidfd: int) -> int | None:
    """The exit code of an ended child (negative: a signal), reaping it; None if it is another process's child."""
    try:
        result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None
    if result is None:
        return None
    return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status


def end_strays(mark: str, *, every_instance: bool = False) -> int:
    """Kill whatever still runs of instance *mark*: workers that outlived their parent, or a start nobody recorded.

    With *every_instance*, of all instances whose mark begins so. Returns how many there were.
    """
    found = marked(mark, exactly=not every_instance)
    for pid in found:
        with contextlib.suppress(OSError):  # gone by now
            _kill_if_still(pid, mark)
    return len(found)


def _kill_if_still(pid: int, mark: str) -> None:
    """Kill *pid* unless the number is another process's by now; what a descriptor names cannot change."""
    pidfd = os.pidfd_open(pid)
    try:
        if _mark_of(Path(f"/proc/{pid}/environ").read_bytes()).startswith(mark):
            signal_to(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)


def marked(mark: str, *, exactly: bool = False) -> list[int]:
    """The processes of services whose instance mark begins with *mark*, or is that very one."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):  # gone, or another user's
                own = _mark_of((process / "environ").read_bytes())
                if own == mark or (not exactly and own.startswith(mark)):
                    found.append(int(process.name))
    return found


def _mark_of(environ: bytes) -> str:
    name = INSTANCE.encode() + b"="
    return next((os.fsdecode(entry[len(name) :]) for entry in environ.split(b"\0") if entry.startswith(name)), "")


def instance_mark(state_dir: Path, instance: int | str) -> str:
    """What marks the processes of one instance; with "" the beginning of every mark of *state_dir*."""
    return f"{state_dir}#{instance}"
