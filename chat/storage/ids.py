"""Ids, instants and digests as they are stored and shown."""

import hashlib
import os
import time
from functools import lru_cache


def new_id(kind: str, *, now_ms: int) -> str:
    """A new id such as `m_…`: it begins with the time, so that rows made together lie together in an index."""
    return new_ids(kind, 1, now_ms=now_ms)[0]


def new_ids(kind: str, count: int, *, now_ms: int) -> list[str]:
    """As many new ids at once, ascending: an index takes rows in its own order best."""
    chance = os.urandom(8 * count).hex()
    return sorted(f"{kind}_{now_ms:012x}{chance[at : at + 16]}" for at in range(0, 16 * count, 16))


def rfc3339(ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC: `2026-11-22T23:12:00.123Z`."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))  # a page of history formats 50 of them


def digest(secret: str) -> bytes:
    """What is stored of a random secret (256 bits: no salt or stretching needed)."""
    return hashlib.sha256(secret.encode()).digest()
