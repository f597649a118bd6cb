"""Freeze windows: the spans of time in which a target takes no deploys.

Three forms, each closed with an IANA time zone (without one: UTC):

- `fri 16:00 - mon 08:00 Europe/Berlin` every week;
- `22:00 - 06:00 Europe/Berlin` every day;
- `2026-12-23 - 2027-01-02 Europe/Berlin` once; either end may carry a time, an end without one includes its day.

Local times follow the zone through changes of the clock (PEP 615).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_POINT = r"(?:(?P<day{n}>[a-z]+)|(?P<date{n}>\d{{4}}-\d\d-\d\d))?\s*(?P<time{n}>\d\d?:\d\d)?"
_WINDOW = re.compile(
    rf"^{_POINT.format(n=1)}\s*-\s*{_POINT.format(n=2)}(?:\s+(?P<zone>[A-Za-z][\w+\-/]*))?$", re.IGNORECASE
)


class NotAWindow(ValueError):
    """The text is no freeze window; says why."""


@dataclass(frozen=True, slots=True)
class Point:
    """One end of a window: a day of the week (0 = Monday), or a date, or neither; and a time of day."""

    weekday: int | None
    date: date | None
    time: time


@dataclass(frozen=True, slots=True)
class Window:
    """A span that comes every week, every day, or once."""

    text: str
    start: Point
    end: Point
    zone: tzinfo

    def until(self, now: datetime) -> datetime | None:
        """When this window ends, if *now* (aware) lies in it, else None. The end itself lies outside."""
        local = now.astimezone(self.zone)
        for opens, closes in self._spans_near(local):
            if opens <= now < closes:
                return closes
        return None

    def _spans_near(self, local: datetime) -> Iterable[tuple[datetime, datetime]]:
        if self.start.date is not None and self.end.date is not None:
            yield self._at(self.start.date, self.start.time), self._at(self.end.date, self.end.time)
            return
        weekly = self.start.weekday is not None and self.end.weekday is not None
        for back in range(8 if weekly else 2):
            day = local.date() - timedelta(days=back)
            if weekly and day.weekday() != self.start.weekday:
                continue
            days = ((self.end.weekday or 0) - (self.start.weekday or 0)) % 7 if weekly else 0
            if days == 0 and self.end.time <= self.start.time:
                days = 7 if weekly else 1
            yield self._at(day, self.start.time), self._at(day + timedelta(days=days), self.end.time)

    def _at(self, day: date, at: time) -> datetime:
        return datetime.combine(day, at, tzinfo=self.zone)


def parse(text: str) -> Window:
    """Read one window; raises `NotAWindow` naming what is wrong with *text*."""
    found = _WINDOW.match(text.strip())
    if not found:
        raise NotAWindow(f'{text!r} is no freeze window; write it like "fri 16:00 - mon 08:00 Europe/Berlin"')
    zone = _zone(found["zone"] or "UTC", text)
    start = _point(found["day1"], found["date1"], found["time1"], text, closing=False)
    end = _point(found["day2"], found["date2"], found["time2"], text, closing=True)
    if (start.weekday is None) != (end.weekday is None) or (start.date is None) != (end.date is None):
        raise NotAWindow(f"{text!r}: both ends must be a day of the week, or both a date, or both only a time")
    window = Window(text.strip(), start, end, zone)
    if start.date is not None and end.date is not None and (start.date, start.time) >= (end.date, end.time):
        raise NotAWindow(f"{text!r} ends before it starts")
    return window


def frozen_until(windows: Iterable[Window], now: datetime) -> tuple[Window, datetime] | None:
    """The window that *now* lies in and when it ends; of several the one that ends last."""
    hits = [(window, until) for window in windows if (until := window.until(now)) is not None]
    return max(hits, key=lambda hit: hit[1], default=None)


def _zone(name: str, text: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise NotAWindow(
            f"{text!r}: no time zone {name!r} is known here; use an IANA name such as Europe/Berlin, "
            "and install the system's tzdata if it is one"
        ) from None


def _point(day: str | None, on: str | None, at: str | None, text: str, *, closing: bool) -> Point:
    weekday = None
    if day is not None:
        if day.lower()[:3] not in DAYS or not _is_day(day.lower()):
            raise NotAWindow(f"{text!r}: {day!r} is no day of the week; use {' '.join(DAYS)}")
        weekday = DAYS.index(day.lower()[:3])
    try:
        of_day = time.fromisoformat(at.rjust(5, "0")) if at else time.min
        on_date = date.fromisoformat(on) if on else None
    except ValueError as fault:
        raise NotAWindow(f"{text!r}: {fault}") from None
    if closing and not at:
        if weekday is not None:
            weekday = (weekday + 1) % 7
        elif on_date is not None:
            on_date += timedelta(days=1)
    if weekday is None and on_date is None and not at:
        raise NotAWindow(f'{text!r}: an end is empty; write it like "fri 16:00 - mon 08:00 Europe/Berlin"')
    return Point(weekday, on_date, of_day)


def _is_day(word: str) -> bool:
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return any(name.startswith(word) for name in names)
