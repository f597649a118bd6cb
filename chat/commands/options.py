"""What the verbs share: the options that say where the data is, and how faults are told to people."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from chat.protocol.errors import Fault, sentence
from chat.settings import Settings, SettingsFault, load

DataDir = Annotated[
    str | None, typer.Option("--data-dir", help="where the data is (CHAT_DATA_DIR)", show_default=False)
]
DatabaseUrl = Annotated[
    str | None, typer.Option("--database-url", help="the database (CHAT_DATABASE_URL)", show_default=False)
]


def settings_of(**options: str | None) -> Settings:
    """The settings from these options, the environment and the file; faults end the program with exit code 2."""
    with told():
        return load(options, os.environ)


@contextmanager
def told(*faults: type[Exception]) -> Iterator[None]:
    """End the program with one sentence for what went wrong: code 2 for settings, 1 for the rest."""
    try:
        yield
    except SettingsFault as fault:
        stop("\n".join(f"chat: {line}" for line in fault.faults), code=2)
    except Exception as fault:
        if not isinstance(fault, (*faults, Fault, OSError)):
            raise
        stop(f"chat: {sentence(fault)}", code=1)


def stop(message: str, *, code: int) -> NoReturn:
    """Print *message* to stderr and leave."""
    print(message, file=sys.stderr)
    raise typer.Exit(code)
