"""`chat serve`: the options are the settings; the serving itself is in `chat.web.serve`."""

import gc
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from chat.commands.options import settings_of
from chat.settings import PREFIX, rules


def _serve(**options: str | None) -> None:
    """Serve the chat until SIGTERM.

    Each option is also an environment variable, and a key of chat.toml in the data directory, in this order.
    Example: chat serve --bind 127.0.0.1:8000 --data-dir ./data
    """
    settings = settings_of(**options)
    gc.disable()  # until it serves: imports leave no garbage, and looking for it takes a sixth of the start
    from chat.web.serve import run as serve  # the server is heavy: `--help` must not wait for it

    raise typer.Exit(serve(settings))


def _with_settings_as_options(verb: Callable[..., None]) -> Callable[..., None]:
    """*verb* with one option for each setting, as Typer reads them from a signature."""
    hints: dict[str, Any] = {"data_dir": _option("data_dir", "where the data is", "the user's data directory for chat")}
    for name, (rule, default) in rules().items():
        shown = ",".join(default) if isinstance(default, tuple) else default
        shown = {True: "on", False: "off"}[shown] if isinstance(shown, bool) else shown
        hints[name] = _option(name, rule.help, None if shown in {None, ""} else str(shown))
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        for name, hint in hints.items()
    ]
    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    verb.__annotations__ = hints
    return verb


def _option(name: str, text: str, default: str | None) -> Any:
    flag = f"--{name.replace('_', '-')}"
    shown = f"{text} ({PREFIX}{name.upper()})" + (f" [default: {default}]" if default is not None else "")
    return Annotated[str | None, typer.Option(flag, help=shown, show_default=False, metavar="VALUE")]


run = _with_settings_as_options(_serve)
