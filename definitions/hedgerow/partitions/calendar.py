"""Windows of local time: the edges of hours, days, weeks, months and a cron expression's ticks in a time zone, daylight saving included.

A window runs from its first instant to the first instant of the next window, so windows tile time without gap or overlap.
An hour, or (Samoa, 2011) a day, that the clocks skipped has no window; an hour that they repeat has two, of which the second
has the suffix `b`. Where clocks jump by half an hour (Lord Howe) the hours concerned are shorter or longer.

Instants are UTC in here: sums and comparisons of datetimes that share a ZoneInfo ignore the offset.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

from hedgerow.partitions.instants import DAY, HOUR, YEARS, first_instant, jump, odd_days, readings
from hedgerow.partitions.model import Cadence, is_cron
from hedgerow.partitions.ticks import Span, ticks_of

# Of each window, in hours.
_HOURS = {"hour": 1, "day": 24, "week": 7 * 24, "month": 31 * 24}
_PATTERNS = {
    "hour": re.compile(r"(\d{4}-\d{2}-\d{2})T\d{2}b?", re.ASCII),
    "day": re.compile(r"(\d{4}-\d{2}-\d{2})", re.ASCII),
    "week": re.compile(r"(\d{4}-\d{2}-\d{2})", re.ASCII),
    "month": re.compile(r"(\d{4}-\d{2})", re.ASCII),
}


def span_of(cadence: Cadence, tz: str, key: str) -> Span | None:
    """The window of `key`; None when the text is not a key of this cadence, or names a time that the clocks skipped."""
    if is_cron(cadence):
        ticks = ticks_of(cadence, tz)
        number = ticks.number(key)
        return ticks.span(number) if number is not None else None
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
    if is_cron(cadence):
        ticks = ticks_of(cadence, tz)
        return ticks.span(ticks.holding(instant))
    day = instant.astimezone(ZoneInfo(tz)).date()
    # A day earlier for safety: where clocks are set back over midnight, an instant's date is not its window's.
    return next(span for span in spans_from(cadence, tz, _floor(cadence, day - DAY)) if span.end > instant)


def spans_from(cadence: Cadence, tz: str, day: date) -> Iterator[Span]:
    """The windows in order from the one that starts on the local `day` (by week a Monday, by month a first), without end.

    By a cron expression they begin with the first that starts on that day or later.
    """
    if is_cron(cadence):
        yield from ticks_of(cadence, tz).spans_from(day)
        return
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


def last_before(cadence: Cadence, tz: str, span: Span, count: int) -> list[Span]:
    """The last `count` windows before `span`, the earliest first; fewer where the calendar begins with the year 1."""
    if count <= 0:
        return []
    if is_cron(cadence):
        ticks = ticks_of(cadence, tz)
        number = ticks.holding(span.start)
        edges = [ticks.tick(each) for each in range(number - count, number + 1)]
        return [Span(ticks.key(start), start, end) for start, end in pairwise(edges)]
    # A few more days than they can take, also where clocks have been moved: walking along them is ten times cheaper than back.
    back = timedelta(days=count * _HOURS[cadence] // 24 + 40)
    day = day_of(span.key)
    begin = _floor(cadence, day - back) if day - date.min > back + timedelta(days=40) else None
    if begin is None:
        return list(islice(spans_before(cadence, tz, span), count))[::-1]
    walked = takewhile(lambda each: each.start < span.start, spans_from(cadence, tz, begin))
    return list(deque(walked, count))


def day_of(key: str) -> date:
    """The local day on which the window of a well-formed `key` starts."""
    return date.fromisoformat(key[:10] if len(key) > 7 else f"{key}-01")


def hour_number(tz: str, key: str) -> int:
    """The number of an hour, counted from the T00 of the year 1900, by the days on which clocks are moved instead of one by one."""
    day = day_of(key)
    odd = _odd_hours(tz, day.year)
    before = sum(_surplus_of(tz, year) for year in range(YEARS.start, day.year))
    here = sum(len(keys) - 24 for each, keys in odd.items() if each < day)
    place = odd[day].index(key) if day in odd else int(key[11:13])
    return (day - date(YEARS.start, 1, 1)).days * 24 + before + here + place


@lru_cache(maxsize=65_536)
def _surplus_of(tz: str, year: int) -> int:
    """How many hours more than 24 a day a year has; fewer are below zero."""
    return sum(len(keys) - 24 for keys in _odd_hours(tz, year).values())


@lru_cache(maxsize=4096)
def _odd_hours(tz: str, year: int) -> dict[date, tuple[str, ...]]:
    """The hours of those days of a year that may have others than usual."""
    found = {}
    for day in sorted(odd_days(tz, year)):
        text = day.isoformat()
        hours = takewhile(lambda span, text=text: span.key.startswith(text), spans_from("hour", tz, day))  # type: ignore[misc]
        found[day] = tuple(span.key for span in hours)
    return found


def _floor(cadence: Cadence, day: date) -> date:
    if cadence == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if cadence == "month" else day


def _date_edges(cadence: Cadence, tz: str, day: date) -> Iterator[tuple[str, datetime]]:
    while True:
        yield day.isoformat()[:7] if cadence == "month" else day.isoformat(), first_instant(tz, day)
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
    midnight = first_instant(tz, day)
    if first_instant(tz, day + DAY) - midnight == DAY and midnight.astimezone(ZoneInfo(tz)).hour == 0:
        return tuple((f"{day.isoformat()}T{hour:02d}", midnight + hour * HOUR) for hour in range(24))
    edges: list[tuple[str, datetime]] = []
    for hour in range(24):
        key = f"{day.isoformat()}T{hour:02d}"
        first, second = readings(tz, day, hour)
        if first <= second:
            edges.append((key, first))
            if first < second:
                edges.append((f"{key}b", second))
        else:
            gap_end = jump(tz, second, first)
            if gap_end.astimezone(ZoneInfo(tz)).hour == hour:
                edges.append((key, gap_end))
    return tuple(edges)
