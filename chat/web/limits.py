"""Rate limits as token buckets, per user, address or socket. Pure: the clock is passed in."""

import math
from dataclasses import dataclass

from chat.protocol.errors import RateLimited

MAX_KEYS = 50_000


@dataclass(slots=True)
class Bucket:
    """Tokens that refill at `rate_per_s` up to `burst`."""

    rate_per_s: float
    burst: float
    tokens: float
    at_s: float

    def take(self, now_s: float) -> float:
        """Take one token; returns 0, or the seconds until there is one."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now_s - self.at_s) * self.rate_per_s)
        self.at_s = now_s
        if self.tokens >= 1:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate_per_s

    def is_full(self, now_s: float) -> bool:
        """Whether it would be as if never used."""
        return self.tokens + (now_s - self.at_s) * self.rate_per_s >= self.burst


class Rate:
    """A limit for each of many keys. A rate of 0 means none."""

    def __init__(self, rate_per_s: float, *, burst: float, what: str) -> None:
        self._rate_per_s, self._burst, self._what = rate_per_s, burst, what
        self._buckets: dict[str, Bucket] = {}

    def check(self, key: str, now_s: float) -> None:
        """Count one use by *key*; raises `RateLimited`."""
        if not self._rate_per_s:
            return
        bucket = self._buckets.get(key)
        if bucket is None:
            self._make_room(now_s)
            bucket = self._buckets[key] = Bucket(self._rate_per_s, self._burst, self._burst, now_s)
        if wait_s := bucket.take(now_s):
            raise too_fast(self._what, wait_s)

    def _make_room(self, now_s: float) -> None:
        if len(self._buckets) < MAX_KEYS:
            return
        self._buckets = {key: b for key, b in self._buckets.items() if not b.is_full(now_s)}
        while len(self._buckets) >= MAX_KEYS:  # all in use: forget the longest known
            del self._buckets[next(iter(self._buckets))]


def too_fast(what: str, wait_s: float) -> RateLimited:
    """The fault of one *what* too many; it says when the next is served."""
    wait_ms = math.ceil(wait_s * 1000)
    return RateLimited(f"too many {what}: go on in {wait_ms} ms", retry_after_ms=wait_ms)
