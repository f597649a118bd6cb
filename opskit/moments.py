"""Moments and spans as people say them, and as they are told to people."""

import re
from datetime import UTC, datetime, timedelta

from opskit.errors import UsageFault

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)(?:\s+ago)?")
_UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600}
_UNITS |= {"d": 86400, "day": 86400, "w": 604800, "week": 604800}
# below so many seconds, in units of so many, called so, with so many decimals
_SPANS = ((90, 1, "second", 0), (90 * 60, 60, "minute", 0), (48 * 3600, 3600, "hour", 1))
FORMS = "2026-11-23T14:05:00Z, 2026-11-23 14:05, 14:05, or 35 minutes ago"


def parse_moment(text: str, *, now: datetime, option: str) -> datetime:
    """The moment *text* names, in UTC to the second. Without a zone it is local time; a clock time is the last such.

    Raises `UsageFault`, naming *option*, for what is none or lies in the future.
    """
    said = " ".join(text.lower().split())
    try:
        found = _clock(said, now) or _ago(said, now) or _iso(text.strip(), now)
    except (ValueError, OverflowError) as fault:
        raise UsageFault(f"{option}: {text!r} is no time", remedy=f"write it as {FORMS}") from fault
    if found > now:
        raise UsageFault(f"{option}: {shown(found)} is in the future", remedy=f"it is {shown(now)} now")
    return found.replace(microsecond=0)


def _clock(said: str, now: datetime) -> datetime | None:
    match = _CLOCK.fullmatch(said)
    if match is None:
        return None
    local = now.astimezone()
    hour, minute, second = (int(part or 0) for part in match.groups())
    today = local.replace(hour=hour, minute=minute, second=second, microsecond=0)
    return (today if today <= local else today - timedelta(days=1)).astimezone(UTC)


def _ago(said: str, now: datetime) -> datetime | None:
    if said == "now":
        return now
    match = _AGO.fullmatch(said)
    if match is None:
        return None
    unit = _UNITS.get(match[2]) or _UNITS.get(match[2].removesuffix("s"))
    if unit is None:
        raise ValueError(match[2])
    return now - timedelta(seconds=float(match[1]) * unit)


def _iso(text: str, now: datetime) -> datetime:
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=now.astimezone().tzinfo).astimezone(UTC)


def read_moment(text: object) -> datetime | None:
    """A moment as a record holds it (RFC 3339), in UTC; None for what is none."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if found is None:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def told(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC to the second, for records and JSON."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(moment: datetime) -> str:
    """For people: `2026-11-23 14:05:00 UTC`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def in_words(span_s: float) -> str:
    """A span for people, in the unit they would say it in: `40 seconds`, `35 minutes`, `3.5 hours`, `2.5 days`."""
    unit_s, unit, digits = next(
        ((unit_s, unit, digits) for limit_s, unit_s, unit, digits in _SPANS if span_s < limit_s), (86400, "day", 1)
    )
    number = f"{span_s / unit_s:.{digits}f}".removesuffix(".0")
    return f"{number} {unit}{'' if number == '1' else 's'}"
