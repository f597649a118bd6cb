"""The command line: a table of verbs, each imported only when it is called, and the boundary that makes exit codes.

A verb lives in `opskit/verbs/<module>.py` as a Typer app named `app`. An app with one command is that command;
an app with several is a group (`opskit hotfix start`).
"""

import difflib
import io
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

from opskit.errors import Exit, OpskitError, Refused
from opskit.report import Outlet, Report


class Verb(NamedTuple):
    """Where a verb's code is, and its one line in `opskit --help`."""

    module: str
    help: str
    attribute: str = "app"


VERBS: dict[str, Verb] = {
    "status": Verb("status", "branches, versions, what runs, what is half-done"),
    "changelog": Verb("changelog", "the notes of a release, from its commits; `why` says where a commit belongs"),
    "version": Verb("version", "the current version and the next one"),
    "deploy": Verb("deploy", "put a commit into service on a target; what fails is put back"),
    "rollback": Verb("rollback", "back to the release before"),
    "start": Verb("service", "put the release that ran last into service again", "start_app"),
    "stop": Verb("service", "end the service; nothing listens afterwards", "stop_app"),
    "restart": Verb("service", "a fresh process of the same release, without downtime", "restart_app"),
    "logs": Verb("logs", "what the service printed"),
    "maintenance": Verb("service", "answer 503 on a target, or serve again", "maintenance_app"),
    "unlock": Verb("service", "free the lock of a target", "unlock_app"),
    "target": Verb("target", "have the service survive a reboot"),
    "smoke": Verb("smoke", "check a running service from outside"),
    "watch": Verb("watch", "check a target again and again; tell people when something changes"),
    "security-review": Verb("security_review", "probe a running service for weaknesses, from outside"),
    "ci": Verb("ci", "run the configured steps on a clean checkout of one commit"),
    "release": Verb("release", "changelog, merge, tag and back-merge, published whole or not at all"),
    "hotfix": Verb("hotfix", "repair what production runs: start, check, approve or reject, finish"),
    "undo": Verb("release", "take back the last release or hotfix", "undo_app"),
    "incident": Verb("incident", "what goes wrong: open, note, assess, mitigate, resolve, list, show"),
    "postmortem": Verb("postmortem", "what was learnt of an incident, filled in from the record"),
    "actions": Verb("actions", "what was learnt: list, add, edit, done, verify"),
    "loadtest": Verb("loadtest", "put load on a running service; thresholds decide"),
    "report": Verb("report", "the five DORA measures, and what was done"),
    "ledger": Verb("ledger", "the record: show, verify, export"),
    "drill": Verb("drill", "rehearse a release that goes wrong, in a sandbox of its own"),
    "runbook": Verb("runbook", "one page for each situation"),
    "init": Verb("init", "write a commented configuration for this repository"),
    "doctor": Verb("doctor", "is everything here that opskit needs"),
}


class LazyVerbs(TyperGroup):
    """A group that knows its commands by name and imports one only to run it or to show its help."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        command = get_command(getattr(import_module(f"opskit.verbs.{verb.module}"), verb.attribute))
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        near = [] if args[0] in VERBS else difflib.get_close_matches(args[0], VERBS, n=1)
        if near and not args[0].startswith("-"):
            fault: Any = _WRONG_CALL
            raise fault(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


app = typer.Typer(
    cls=LazyVerbs,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        from opskit import __version__

        print(f"opskit {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def opskit(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Release, deploy, watch, roll back; handle incidents and learn from them.

    Example: opskit release --dry-run
    """


# What typer raises for a wrong call: the base of all such errors, in the click that it brings or depends on.
_WRONG_CALL = cast("type[Exception]", typer.BadParameter.__bases__[0])


_LOOK = "opskit status shows how things stand"


def main() -> None:
    """Run one command and leave with its exit code; what goes wrong becomes one sentence, never a traceback."""
    _prepare_streams()
    for number in (signal.SIGTERM, signal.SIGHUP):  # end as at Ctrl-C: what was begun is put in order first
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    code = _run(as_json="--json" in sys.argv)
    fault = sys.stdout.fault if isinstance(sys.stdout, Outlet) else None
    if fault and not isinstance(fault, BrokenPipeError):
        print(f"opskit: the output could not be written: {fault.strerror}", file=sys.stderr)
        code = code or Exit.BAD
    sys.exit(code)


def _run(*, as_json: bool) -> int:
    """The exit code of the command asked for."""
    try:
        code = app(prog_name="opskit", standalone_mode=False)
    except OpskitError as error:
        code = _tell(error, as_json=as_json)
    except _WRONG_CALL as error:
        code = _show_usage(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = Exit.INTERRUPTED
    except OSError as fault:  # the machine's own refusals: a full disk, no permission
        refused = Refused(f"{fault.strerror or fault}{_where(fault)}", remedy=f"mend that; {_LOOK}")
        code = _tell(refused, as_json=as_json)
    if code == Exit.INTERRUPTED:  # typer makes it of a KeyboardInterrupt
        print("opskit: interrupted", file=sys.stderr)
        answered = isinstance(sys.stdout, Outlet) and sys.stdout.answered
        Report(as_json=as_json and not answered).result(error="interrupted", remedy=_LOOK, exit_code=int(code))
    return code if isinstance(code, int) else Exit.DONE


def _where(fault: OSError) -> str:
    if fault.filename:
        return f" ({fault.filename})"
    try:
        Path.cwd()
    except FileNotFoundError:
        return ": the current directory is gone"
    return ""


def _tell(error: OpskitError, *, as_json: bool) -> int:
    print(f"opskit: {error}", file=sys.stderr)
    if error.remedy:
        print(f"        {error.remedy}", file=sys.stderr)
    fields = {"error": str(error), "remedy": error.remedy, "exit_code": int(error.exit_code)}
    Report(as_json=as_json).result(**error.fields, **fields)
    return error.exit_code


def _show_usage(error: Any, *, as_json: bool) -> int:
    """A call that cannot be parsed, as click shows it; returns the exit code."""
    error.show()
    remedy = f"{error.ctx.command_path if error.ctx else 'opskit'} --help"
    code = int(error.exit_code)
    Report(as_json=as_json).result(error=error.format_message(), remedy=remedy, exit_code=code)
    return code


def _prepare_streams() -> None:
    """Output that nobody reads, that is closed, or that cannot encode a character is no reason to break off."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, Outlet(stream))
