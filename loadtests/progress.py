"""What a person sees while a load test runs: a line every few seconds, in plain text."""

from typing import Any

EVERY_S = 5.0


def line(stats: Any, *, users: int, elapsed_s: float, seconds: float) -> str:
    """One line from Locust's *stats*: how far, how many users, what came back and how fast."""
    entries = list(stats.entries.values())
    measured = [entry for entry in entries if entry.name != "late"]
    count, failed = sum(entry.num_requests for entry in measured), sum(entry.num_failures for entry in measured)
    parts = [
        f"  {elapsed_s:.0f} of {seconds:g} s",
        f"{users} users",
        f"{count} answers",
        f"{failed} failed",
    ]
    parts += [
        f"{entry.name} p99 {entry.get_response_time_percentile(0.99) or 0:.0f} ms"
        for entry in entries
        if entry.name in ("ack", "send→hear") and entry.num_requests
    ]
    return " · ".join(parts)
