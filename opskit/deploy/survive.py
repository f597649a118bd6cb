"""`target install`: the service comes back after a reboot, by a systemd unit, else by cron's `@reboot`.

The unit (or crontab line) starts opskit's `start` for the target, in the repository it was installed from. With
systemd it is a user unit where opskit runs as an ordinary user, with lingering, and a system unit for root.
"""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from getpass import getuser
from pathlib import Path

from opskit.deploy.context import Context
from opskit.errors import Refused

RUNNING_SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)


class Way(StrEnum):
    """How a target comes back after a reboot."""

    SYSTEMD = "systemd"
    CRON = "@reboot"


@dataclass(frozen=True, slots=True)
class Survival:
    """What is or would be installed: the unit's path and text, or the crontab's line."""

    way: Way
    where: str
    text: str


def unit_name(context: Context) -> str:
    """The name of the target's unit; the project is in it, as several may live on one machine."""
    project = context.layout.state_dir.parent.name
    return f"opskit-{project}-{context.name}.service"


def unit_text(*, description: str, directory: Path, start: str, stop: str, user_unit: bool) -> str:
    """A systemd unit that starts the target at boot and ends it at shutdown (systemd.service(5))."""
    wanted = "default.target" if user_unit else "multi-user.target"
    return f"""[Unit]
Description={_literal(description)}
After=network.target

[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory={_literal(str(directory))}
ExecStart={start}
ExecStop={stop}
TimeoutStartSec=300
TimeoutStopSec=120

[Install]
WantedBy={wanted}
"""


def planned(context: Context, *, way: Way | None = None) -> Survival:
    """What `install` would install here."""
    program = [sys.executable, "-P", "-m", "opskit"]
    call = [*program, "start", "--yes", "--target", context.name]
    end = [*program, "stop", "--yes", "--target", context.name]
    chosen = way or (Way.SYSTEMD if RUNNING_SYSTEMD.is_dir() and shutil.which("systemctl") else Way.CRON)
    if chosen is Way.CRON:
        line = f"@reboot cd {shlex.quote(str(context.git.directory))} && {shlex.join(call)} >/dev/null 2>&1"
        return Survival(chosen, "crontab", f"{line} {_mark(context)}")
    user_unit = os.getuid() != 0
    home = Path.home() / ".config/systemd/user" if user_unit else Path("/etc/systemd/system")
    text = unit_text(
        description=f"opskit target {context.name} of {context.layout.state_dir.parent.name}",
        directory=context.git.directory,
        start=_exec_line(call),
        stop=_exec_line(end),
        user_unit=user_unit,
    )
    return Survival(chosen, str(home / unit_name(context)), text)


def install(context: Context, survival: Survival) -> None:
    """Install it; raises `Refused` with the tool's own words."""
    if survival.way is Way.CRON:
        lines = [line for line in _crontab() if _mark(context) not in line]
        _write_crontab([*lines, survival.text])
        return
    path = Path(survival.where)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(survival.text, encoding="utf-8")
    _systemctl("daemon-reload")
    _systemctl("enable", path.name)
    if os.getuid() != 0:
        _run(["loginctl", "enable-linger", getuser()])


def uninstall(context: Context) -> list[str]:
    """Remove whatever `install` installed, in either way; returns what it was."""
    gone = []
    for home in (Path.home() / ".config/systemd/user", Path("/etc/systemd/system")):
        path = home / unit_name(context)
        if path.exists():
            if RUNNING_SYSTEMD.is_dir():
                _systemctl("disable", path.name)
            path.unlink()
            if RUNNING_SYSTEMD.is_dir():
                _systemctl("daemon-reload")
            gone.append(str(path))
    if shutil.which("crontab"):
        lines = _crontab()
        rest = [line for line in lines if _mark(context) not in line]
        if rest != lines:
            _write_crontab(rest)
            gone.append("crontab line")
    return gone


def installed(context: Context) -> str:
    """Where it is installed, "" if it is not."""
    for home in (Path.home() / ".config/systemd/user", Path("/etc/systemd/system")):
        if (home / unit_name(context)).exists():
            return str(home / unit_name(context))
    if shutil.which("crontab") and any(_mark(context) in line for line in _crontab()):
        return "crontab"
    return ""


def _mark(context: Context) -> str:
    return f"# {unit_name(context)}"


def _literal(text: str) -> str:
    """*text* where systemd expands `%` specifiers."""
    return text.replace("%", "%%")


def _exec_line(command: list[str]) -> str:
    """A command line as systemd reads it: quoted words, `%` and `$` doubled (systemd.service(5), COMMAND LINES)."""
    quoted = []
    for word in command:
        text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
        quoted.append(f'"{text}"')
    return " ".join(quoted)


def _systemctl(*arguments: str) -> None:
    scope = [] if os.getuid() == 0 else ["--user"]
    _run(["systemctl", *scope, *arguments])


def _crontab() -> list[str]:
    if not shutil.which("crontab"):
        raise Refused(
            "this machine runs neither systemd nor cron, so nothing can start the target after a reboot",
            remedy="install one of them (Debian: apt-get install cron)",
        )
    done = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def _write_crontab(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    _run(["crontab", "-"], stdin=text)


def _run(command: list[str], *, stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(
            f"{shlex.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}",
            remedy="mend that, then install again",
        )
