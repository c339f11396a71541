"""The ticks of a cron expression by number, and the windows between them.

Which instants are ticks is laid down in `hedgerow.cron`. Here they are counted instead of walked through: a day on which no
clocks are moved has the same ticks as any other that matches, and which days of a year match depends on the weekday of its first
and on whether it is a leap year.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim

from hedgerow.partitions.instants import DAY, YEARS, first_instant, jump, odd_days, readings

EPOCH_YEAR = 2001
CYCLE_YEARS = 28  # after which weekdays and leap years come again
MINUTE = timedelta(minutes=1)
KEPT_DAYS = 8
KEY = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2})(b?):(\d{2})(:\d{2})?", re.ASCII)


class Span(NamedTuple):
    """One window: its key, its first instant, and the first instant after it."""

    key: str
    start: datetime
    end: datetime


class Ticks:
    """The ticks of an expression in the zone `tz`; number 0 is the first of the year 2001. Instants are UTC.

    A tick's key is what the clocks show, `2024-01-31T06:00`. Where they show it twice, the hour of the second one has the suffix
    `b`, so that keys sort in order of time (unless clocks are set back over midnight).
    """

    def __init__(self, expression: str, tz: str) -> None:
        self.tz = tz
        self._zone = ZoneInfo(tz)
        self._matching = CronSim(expression, datetime(EPOCH_YEAR, 1, 1, tzinfo=UTC))
        self._minutes = sorted(hour * 60 + minute for hour in self._matching.hours for minute in self._matching.minutes)
        minute_field, hour_field = expression.split()[:2]
        self._is_interval = minute_field.startswith("*") or hour_field.startswith("*")
        self._kinds: dict[tuple[bool, int], list[int]] = {}
        self._years: dict[int, list[int]] = {}
        self._before: dict[int, int] = {EPOCH_YEAR: 0}
        self._odd: dict[date, tuple[datetime, ...]] = {}
        self._shown: dict[date, list[datetime]] = {}
        self.per_cycle = sum(self._usual(year)[-1] for year in range(EPOCH_YEAR, EPOCH_YEAR + CYCLE_YEARS))
        """How many there are in 28 years, if no clocks are moved."""

    def holding(self, instant: datetime) -> int:
        """The number of the last tick that is not after `instant`."""
        day = instant.astimezone(self._zone).date()
        while first_instant(self.tz, day + DAY) <= instant:  # clocks set back over midnight show an earlier date again
            day += DAY
        if day in odd_days(self.tz, day.year):
            return self.before(day) + bisect_right(self._odd_ticks(day), instant) - 1
        passed = int((instant - first_instant(self.tz, day)).total_seconds()) // 60
        matches = self._is_usual(day)
        return self.before(day) + (bisect_right(self._minutes, passed) if matches else 0) - 1

    def tick(self, number: int) -> datetime:
        """The instant of a number."""
        year = EPOCH_YEAR + number * CYCLE_YEARS // self.per_cycle
        while number < self.before_year(year):
            year -= 1
        while number >= self.before_year(year + 1):
            year += 1
        rest = number - self.before_year(year)
        days = self._days(year)
        place = bisect_right(days, rest) - 1
        day = date(year, 1, 1) + place * DAY
        if day in odd_days(self.tz, year):
            return self._odd_ticks(day)[rest - days[place]]
        return first_instant(self.tz, day) + self._minutes[rest - days[place]] * MINUTE

    def before(self, day: date) -> int:
        """The number of the first tick that does not come before the local `day`."""
        return self.before_year(day.year) + self._days(day.year)[day.timetuple().tm_yday - 1]

    def before_year(self, year: int) -> int:
        """The number of the first tick that does not come before the local `year`."""
        known = tuple(self._before)  # a copy, since another thread may be adding years
        for later in range(max(known) + 1, year + 1):
            self._before[later] = self._before[later - 1] + self._days(later - 1)[-1]
        for earlier in range(min(known) - 1, year - 1, -1):
            self._before[earlier] = self._before[earlier + 1] - self._days(earlier)[-1]
        return self._before[year]

    def about_before_year(self, year: int) -> int:
        """At least `before_year`, and little more, without looking at the clocks of every year until then."""
        known = max(self._before)
        if year <= known:
            return self.before_year(year)
        usual = sum(self._usual(each)[-1] for each in range(known, year))
        return self._before[known] + usual + 2 * len(self._minutes)

    def of_day(self, day: date) -> tuple[datetime, ...]:
        """The ticks from the first instant of the local `day` up to that of the next."""
        if day in odd_days(self.tz, day.year):
            return self._odd_ticks(day)
        if not self._is_usual(day):
            return ()
        midnight = first_instant(self.tz, day)
        return tuple(midnight + minute * MINUTE for minute in self._minutes)

    def key(self, tick: datetime) -> str:
        """The key of a tick."""
        local = tick.astimezone(self._zone)
        second = f":{local.second:02d}" if local.second else ""  # zones of old have moved their clocks at any second
        return f"{local.date().isoformat()}T{local.hour:02d}{'b' if local.fold else ''}:{local.minute:02d}{second}"

    def number(self, key: str) -> int | None:
        """The number of a key; None when the text is not the key of a tick."""
        match = KEY.fullmatch(key)
        if match is None or int(key[:4]) not in YEARS:
            return None
        try:
            wall = datetime.fromisoformat(f"{match[1]}T{match[2]}:{match[4]}{match[5] or ''}")
            tick = wall.replace(tzinfo=self._zone, fold=1 if match[3] else 0).astimezone(UTC)
        except ValueError:
            return None
        number = self.holding(tick)
        return number if self.tick(number) == tick and self.key(tick) == key else None

    def span(self, number: int) -> Span:
        """The window from the tick of a number to the next one."""
        start = self.tick(number)
        return Span(self.key(start), start, self.tick(number + 1))

    def spans_from(self, day: date) -> Iterator[Span]:
        """The windows in order from the first that starts on the local `day` or later, without end."""
        start: datetime | None = None
        while True:
            for tick in self.of_day(day):
                if start is not None:
                    yield Span(self.key(start), start, tick)
                start = tick
            day += DAY

    def _is_usual(self, day: date) -> bool:
        """Whether a day on which no clocks are moved has ticks."""
        usual, place = self._usual(day.year), day.timetuple().tm_yday
        return usual[place] > usual[place - 1]

    def _usual(self, year: int) -> list[int]:
        """How many ticks there are from the beginning of a year up to each of its days, and to its end, if no clocks were moved."""
        first, following = date(year, 1, 1), date(year + 1, 1, 1)
        kind = ((following - first).days == 366, first.weekday())
        found = self._kinds.get(kind)
        if found is None:
            days = (first + number * DAY for number in range((following - first).days))
            matching = self._matching
            counts = (
                len(self._minutes) if day.month in matching.months and matching.match_day(day) else 0 for day in days
            )
            found = self._kinds[kind] = list(accumulate(counts, initial=0))
        return found

    def _days(self, year: int) -> list[int]:
        """The same, of the clocks as they are."""
        found = self._years.get(year)
        if found is None:
            usual, found = self._usual(year), None
            for day in sorted(odd_days(self.tz, year)):
                place = day.timetuple().tm_yday
                surplus = len(self._odd_ticks(day)) - (usual[place] - usual[place - 1])
                if surplus:
                    counted = found or usual
                    found = [*counted[:place], *(count + surplus for count in counted[place:])]
            found = self._years[year] = found or usual
        return found

    def _odd_ticks(self, day: date) -> tuple[datetime, ...]:
        """The ticks of a day on, or after, which clocks are moved: also those of days beside it may fall on it."""
        found = self._odd.get(day)
        if found is None:
            begin, end = first_instant(self.tz, day), first_instant(self.tz, day + DAY)
            ticks = {
                tick for near in (day - DAY, day, day + DAY) if self._is_usual(near) for tick in self._ticks_shown(near)
            }
            found = self._odd[day] = tuple(sorted(tick for tick in ticks if begin <= tick < end))
        return found

    def _ticks_shown(self, day: date) -> list[datetime]:
        """The ticks whose local times are of `day`, by the table in `hedgerow.cron`."""
        shown = self._shown.get(day)
        if shown is None:
            midnight = first_instant(self.tz, day)
            first, second = readings(self.tz, day + DAY, 0)
            if first == second == midnight + DAY and midnight.astimezone(self._zone).hour == 0:
                shown = [midnight + minute * MINUTE for minute in self._minutes]
            else:
                shown = list(self._ticks_moved(day))
            if len(self._shown) >= KEPT_DAYS:
                self._shown.clear()
            self._shown[day] = shown
        return shown

    def _ticks_moved(self, day: date) -> Iterator[datetime]:
        for minute in self._minutes:
            first, second = readings(self.tz, day, *divmod(minute, 60))
            if first <= second:
                yield first
                if self._is_interval:
                    yield second
            elif not self._is_interval:
                yield jump(self.tz, second, first)


@lru_cache(maxsize=1024)
def ticks_of(expression: str, tz: str) -> Ticks:
    """The ticks of an expression in a zone, one object for the same ones."""
    return Ticks(expression, tz)
