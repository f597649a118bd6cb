"""Password hashes: bcrypt over a peppered pre-hash, in a bounded pool of threads."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from chat.protocol.errors import Unavailable

SCHEME = "hmac-sha384.bcrypt"
THREADS = 2
WAITING = 64  # at cost 12 the last of them waits about 8 s
_BCRYPT_BASE64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

T = TypeVar("T")


class Passwords:
    """Hashes and verifies passwords off the event loop; `Unavailable` when too many wait.

    bcrypt reads 72 bytes at most, so it gets the base64 of HMAC-SHA-384 (64 characters) of the password, keyed with
    the pepper: a stolen database alone is of no use. `checks` and `hashes` count the calls of bcrypt.
    """

    def __init__(self, pepper: bytes, *, cost: int) -> None:
        self._pepper, self._cost = pepper, cost
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="bcrypt")
        self._inside = 0
        self.hashes = self.checks = 0
        # A hash that no password has: verifying against it is the same work as against a real one.
        self._nobody = f"{SCHEME}${self._cost_prefix}" + "".join(secrets.choice(_BCRYPT_BASE64) for _ in range(31))

    @property
    def _cost_prefix(self) -> str:
        return bcrypt.gensalt(self._cost).decode()

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The tagged hash to store."""
        self.hashes += 1
        hashed = await self._run(lambda: bcrypt.hashpw(self._prehash(password), bcrypt.gensalt(self._cost)))
        return f"{SCHEME}${hashed.decode()}"

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether *password* is the one; for no account (None) or a foreign scheme the same work, and False."""
        self.checks += 1
        known = stored is not None and stored.startswith(f"{SCHEME}$")
        hashed = (stored if stored is not None and known else self._nobody).removeprefix(f"{SCHEME}$")
        matches = await self._run(lambda: bcrypt.checkpw(self._prehash(password), hashed.encode()))
        return matches and known

    def outdated(self, stored: str) -> bool:
        """Whether *stored* was made at another cost."""
        return not stored.startswith(f"{SCHEME}$$2b${self._cost:02d}$")

    def _prehash(self, password: str) -> bytes:
        return base64.b64encode(hmac.digest(self._pepper, password.encode(), hashlib.sha384))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._inside >= WAITING:
            raise Unavailable("too many are signing in just now", retry_after_ms=2000)
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._inside -= 1
