"""`chat user`: what an operator does to accounts, beside a running server or without one."""

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from chat.auth import keys
from chat.auth.passwords import Passwords
from chat.auth.sessions import Sessions
from chat.commands.options import DatabaseUrl, DataDir, settings_of, told
from chat.protocol.errors import NotFound
from chat.services.accounts import Accounts
from chat.settings import Settings
from chat.storage import users
from chat.storage.ids import digest
from chat.storage.schema import SchemaFault
from chat.storage.store import Store
from chat.text import username_key

app = typer.Typer(
    help="Disable and enable accounts, reset passwords, invite.\n\nExample: chat user disable ann --data-dir ./data",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="the username")]
DAY_MS = 86_400_000


@app.command()
def disable(name: Name, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Keep someone from signing in, and close what is open, within a second.

    Example: chat user disable mallory
    """
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    _run(settings, lambda store: _with_user(store, name, lambda user: store.writer.submit(users.disable, user)))
    print(f"{name} is disabled")


@app.command()
def enable(name: Name, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Let a disabled account sign in again.

    Example: chat user enable mallory
    """
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    _run(settings, lambda store: _with_user(store, name, lambda user: store.writer.submit(users.enable, user)))
    print(f"{name} is enabled")


@app.command("reset-password")
def reset_password(
    name: Name,
    stdin: Annotated[bool, typer.Option("--stdin", help="read the password from standard input")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Give someone another password, and end all their sessions. Without --stdin one is made up and printed.

    Example: chat user reset-password alice
    """
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    password = sys.stdin.readline().rstrip("\n") if stdin else secrets.token_urlsafe(12)

    async def reset(store: Store) -> None:
        ring = keys.KeyRing(settings.data_dir / keys.FILE_NAME)
        passwords = Passwords(ring.pepper, cost=settings.bcrypt_cost)
        sessions = Sessions(store, ring, access_ttl_s=settings.access_ttl_s, session_days=settings.session_days)
        accounts = Accounts(store, passwords, sessions, registration=settings.registration)
        try:
            await _with_user(store, name, lambda user: accounts.reset_password(user, password))
        finally:
            passwords.close()

    _run(settings, reset)
    print(f"{name} has another password" + ("" if stdin else f": {password}"))


@app.command()
def invite(
    days: Annotated[int, typer.Option(min=1, max=365, help="how long it is good")] = 7,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Print an invite with which one person can register where CHAT_REGISTRATION is invite.

    Example: chat user invite --days 2
    """
    settings = settings_of(data_dir=data_dir, database_url=database_url)
    code = secrets.token_urlsafe(18)
    ask = users.Invite(invite_hash=digest(code), expires_ms=int(time.time() * 1000) + days * DAY_MS)

    async def store_invite(store: Store) -> None:
        await store.writer.submit(users.invite, ask)

    _run(settings, store_invite)
    print(code)


async def _with_user(store: Store, name: str, act: Callable[[str], Awaitable[None]]) -> None:
    key = username_key(name)
    user = None if key is None else await users.find(store.readers, key)
    if user is None:
        raise NotFound(f"there is no user {name!r}")
    await act(user.id)


def _run(settings: Settings, act: Callable[[Store], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Store.open(settings.database_url) as store:
            await act(store)

    with told(SchemaFault, keys.KeysFault):
        asyncio.run(run())
