"""Instants of local time: when a day begins in a time zone, and where its clocks are moved.

Instants are UTC in here: sums and comparisons of datetimes that share a ZoneInfo ignore the offset.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
YEARS = range(1900, 2200)
"""The years that windows may lie in."""
EVEN = frozenset({"UTC", "Etc/UTC"})
"""Zones whose clocks are never moved."""


@lru_cache(maxsize=65536)
def first_instant(tz: str, day: date) -> datetime:
    """The first instant of the local `day`, or of the first day after it where the clocks skip it."""
    first, second = readings(tz, day, 0)
    return first if first <= second else jump(tz, second, first)


def readings(tz: str, day: date, hour: int, minute: int = 0) -> tuple[datetime, datetime]:
    """The two instants that a local time may mean (PEP 495): equal mostly, in order when repeated, swapped when skipped."""
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(tz))
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def jump(tz: str, before: datetime, after: datetime) -> datetime:
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


@lru_cache(maxsize=4096)
def odd_days(tz: str, year: int) -> frozenset[date]:
    """The days of a year on which the clocks are moved, and the days after those: all others have 24 hours and begin at midnight."""
    if tz in EVEN:
        return frozenset()
    first, zone = date(year, 1, 1), ZoneInfo(tz)
    days = [first + number * DAY for number in range(-1, (date(year + 1, 1, 1) - first).days + 1)]
    midnights = [datetime(day.year, day.month, day.day, tzinfo=zone) for day in days]
    offsets = [(midnight.utcoffset(), midnight.replace(fold=1).utcoffset()) for midnight in midnights]
    changing = {
        day for day, here, after in zip(days, offsets, offsets[1:], strict=False) if here != after or here[0] != here[1]
    }
    return frozenset(day for each in changing for day in (each, each + DAY) if day.year == year)
