"""Windows of local time: the edges of hours, days, weeks and months in a time zone, daylight saving included.

A window runs from its first instant to the first instant of the next window, so windows tile time without gap or overlap.
An hour, or (Samoa, 2011) a day, that the clocks skipped has no window; an hour that they repeat has two, of which the second
has the suffix `b`. Where clocks jump by half an hour (Lord Howe) the hours concerned are shorter or longer.

Instants are UTC in here: sums and comparisons of datetimes that share a ZoneInfo ignore the offset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hedgerow.partitions.model import Cadence

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
YEARS = range(1900, 2200)
_PATTERNS = {
    "hour": re.compile(r"(\d{4}-\d{2}-\d{2})T\d{2}b?", re.ASCII),
    "day": re.compile(r"(\d{4}-\d{2}-\d{2})", re.ASCII),
    "week": re.compile(r"(\d{4}-\d{2}-\d{2})", re.ASCII),
    "month": re.compile(r"(\d{4}-\d{2})", re.ASCII),
}


class Span(NamedTuple):
    """One window: its key, its first instant, and the first instant after it."""

    key: str
    start: datetime
    end: datetime


def span_of(cadence: Cadence, tz: str, key: str) -> Span | None:
    """The window of `key`; None when the text is not a key of this cadence, or names a time that the clocks skipped."""
    match = _PATTERNS[cadence].fullmatch(key)
    if match is None:
        return None
    try:
        day = date.fromisoformat(f"{key}-01" if cadence == "month" else match[1])
    except ValueError:
        return None
    if day.year not in YEARS or (cadence == "week" and day.weekday() != 0):
        return None
    for span in spans_from(cadence, tz, day):
        if span.key == key:
            return span
        if not (cadence == "hour" and span.key.startswith(match[1])):
            return None
    return None


def span_at(cadence: Cadence, tz: str, instant: datetime) -> Span:
    """The window that holds `instant`."""
    day = instant.astimezone(ZoneInfo(tz)).date()
    # A day earlier for safety: where clocks are set back over midnight, an instant's date is not its window's.
    return next(span for span in spans_from(cadence, tz, _floor(cadence, day - DAY)) if span.end > instant)


def spans_from(cadence: Cadence, tz: str, day: date) -> Iterator[Span]:
    """The windows in order from the one that starts on the local `day` (by week a Monday, by month a first), without end."""
    edges = _hour_edges(tz, day) if cadence == "hour" else _date_edges(cadence, tz, day)
    key, start = next(edges)
    for next_key, next_start in edges:
        if next_start > start:
            yield Span(key, start, next_start)
        key, start = next_key, next_start


def spans_after(cadence: Cadence, tz: str, span: Span) -> Iterator[Span]:
    """The windows after `span`, in order, without end."""
    return (later for later in spans_from(cadence, tz, day_of(span.key)) if later.start > span.start)


def spans_before(cadence: Cadence, tz: str, span: Span) -> Iterator[Span]:
    """The windows before `span`, the latest first, without end."""
    while True:
        span = span_at(cadence, tz, span.start - timedelta(microseconds=1))
        yield span


def day_of(key: str) -> date:
    """The local day on which the window of a well-formed `key` starts."""
    return date.fromisoformat(key[:10] if len(key) > 7 else f"{key}-01")


def _floor(cadence: Cadence, day: date) -> date:
    if cadence == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if cadence == "month" else day


def _date_edges(cadence: Cadence, tz: str, day: date) -> Iterator[tuple[str, datetime]]:
    while True:
        yield day.isoformat()[:7] if cadence == "month" else day.isoformat(), _first_instant(tz, day)
        if cadence == "month":
            day = date(day.year + day.month // 12, day.month % 12 + 1, 1)
        else:
            day += DAY if cadence == "day" else 7 * DAY


def _hour_edges(tz: str, day: date) -> Iterator[tuple[str, datetime]]:
    while True:
        yield from _hours_of_day(tz, day)
        day += DAY


@lru_cache(maxsize=4096)
def _hours_of_day(tz: str, day: date) -> tuple[tuple[str, datetime], ...]:
    midnight = _first_instant(tz, day)
    if _first_instant(tz, day + DAY) - midnight == DAY and midnight.astimezone(ZoneInfo(tz)).hour == 0:
        return tuple((f"{day.isoformat()}T{hour:02d}", midnight + hour * HOUR) for hour in range(24))
    edges: list[tuple[str, datetime]] = []
    for hour in range(24):
        key = f"{day.isoformat()}T{hour:02d}"
        first, second = _readings(tz, day, hour)
        if first <= second:
            edges.append((key, first))
            if first < second:
                edges.append((f"{key}b", second))
        else:
            jump = _jump(tz, second, first)
            if jump.astimezone(ZoneInfo(tz)).hour == hour:
                edges.append((key, jump))
    return tuple(edges)


@lru_cache(maxsize=65536)
def _first_instant(tz: str, day: date) -> datetime:
    first, second = _readings(tz, day, 0)
    return first if first <= second else _jump(tz, second, first)


def _readings(tz: str, day: date, hour: int) -> tuple[datetime, datetime]:
    """The two instants that a local time may mean (PEP 495): equal mostly, in order when repeated, swapped when skipped."""
    local = datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(tz))
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def _jump(tz: str, before: datetime, after: datetime) -> datetime:
    """The instant between `before` (excluded) and `after` (included) at which the zone's offset changes, by bisection."""
    zone = ZoneInfo(tz)
    offset = after.astimezone(zone).utcoffset()
    seconds_before, seconds_after = 0, int((after - before).total_seconds())
    while seconds_after - seconds_before > 1:
        middle = (seconds_before + seconds_after) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == offset:
            seconds_after = middle
        else:
            seconds_before = middle
    return before + timedelta(seconds=seconds_after)
