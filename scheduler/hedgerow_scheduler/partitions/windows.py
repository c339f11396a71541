"""The windows of a calendar by number: of a cadence in a zone, found by arithmetic instead of by walking."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import dropwhile, islice, takewhile
from zoneinfo import ZoneInfo

from hedgerow.partitions.calendar import day_of, span_at, span_of, spans_from
from hedgerow.partitions.instants import DAY, EVEN, YEARS
from hedgerow.partitions.model import Cadence, is_cron
from hedgerow.partitions.ticks import Span
from hedgerow_scheduler.partitions.cron_windows import CronWindows, Numbered

EPOCH = date(2001, 1, 1)  # a Monday, and the first of a month
PER_DAY = {"hour": 24, "day": 1}
FARTHEST = {"hour": 1_800_000, "day": 75_000, "week": 10_700, "month": 2_460}
"""The farthest number from the epoch, 205 years on or back: more than the years that partitions may lie in."""
KEPT = 65_536
KEPT_WITHIN = 1_000_000
WALKED = {"hour": 48, "day": 8, "week": 2, "month": 1}
WALKED_TICKS = 8


class Windows:
    """The windows of `cadence`, no cron expression, in the zone `tz`, before and after number 0, which is that of 2001-01-01 (by hour its T00).

    Days with another number of windows than usual (clocks change, or the date line moves) are looked for year by year when they
    are first needed; a number then follows from its date and the few such days between.
    """

    def __init__(self, cadence: Cadence, tz: str) -> None:
        self.cadence: Cadence = cadence
        self.tz = tz
        self._zone = ZoneInfo(tz)
        self._odd: dict[int, dict[date, tuple[str, ...]]] = {}
        self._surplus = {EPOCH.year: 0}
        self._spans: dict[int, Span] = {}
        self._within: dict[Numbered, dict[int, tuple[int, int]]] = {}
        self.farthest = FARTHEST[cadence]

    def number(self, key: str) -> int | None:
        """The number of a window; None when the text is not a key of this calendar."""
        return self._number(key) if span_of(self.cadence, self.tz, key) is not None else None

    def key(self, number: int) -> str | None:
        """The key of a number; None when its year is not one that partitions may lie in."""
        if abs(number) > self.farthest:
            return None
        day, key = self._day_and_key(number)
        return key if day.year in YEARS else None

    def span(self, number: int) -> Span:
        """The window of a number; for one that is out of all reason, one that is as far as any can be."""
        found = self._spans.get(number)
        if found is None:
            day, key = self._day_and_key(max(-self.farthest, min(number, self.farthest)))
            found = next(span for span in spans_from(self.cadence, self.tz, day) if span.key == key)
            if len(self._spans) >= KEPT:
                self._spans.clear()
            self._spans[number] = found
        return found

    def holding(self, instant: datetime) -> int:
        """The number of the window that holds `instant`."""
        return self._number(span_at(self.cadence, self.tz, instant).key)

    def within(self, others: Numbered, number: int) -> tuple[int, int]:
        """The numbers of the first and the last window here that overlap a window of another calendar."""
        known = self._within.setdefault(others, {})
        number = max(-others.farthest, min(number, others.farthest))
        found = known.get(number)
        if found is None:
            if len(known) >= KEPT_WITHIN:
                known.clear()
            known.update(self._overlaps(others, number))
            found = known[number]
        return found

    def before_year(self, year: int) -> int:
        """The number of the first window that starts in `year`; by hour and by day it may be too large by some.

        That is for days that clocks lengthen: counting them exactly would mean to look at every day until then.
        """
        if self.cadence == "month":
            return (year - EPOCH.year) * 12
        days = (date(year, 1, 1) - EPOCH).days
        return -(-days // 7) if self.cadence == "week" else (days + 2) * PER_DAY[self.cadence]

    def _overlaps(self, others: Numbered, number: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """The first and the last window here for each of some windows of another calendar from `number` on.

        Several, because walking along both calendars is far cheaper than looking each of them up.
        """
        begin = others.span(number)
        here = self.holding(begin.start)
        ours = dropwhile(
            lambda span: span.end <= begin.start, spans_from(self.cadence, self.tz, self._day_and_key(here)[0])
        )
        end = next(ours).end
        theirs = dropwhile(
            lambda span: span.start < begin.start, spans_from(others.cadence, others.tz, day_of(begin.key))
        )
        for offset, span in enumerate(islice(theirs, WALKED.get(others.cadence, WALKED_TICKS))):
            while end <= span.start:
                here, end = here + 1, next(ours).end
            first = here
            while end < span.end:
                here, end = here + 1, next(ours).end
            yield number + offset, (first, here)

    def _number(self, key: str) -> int:
        day = day_of(key)
        if self.cadence == "month":
            return (day.year - EPOCH.year) * 12 + day.month - 1
        if self.cadence == "week":
            return (day - EPOCH).days // 7
        odd = self._odd_days(day.year).get(day)
        return self._before(day) + (odd.index(key) if odd is not None else int(key[11:] or 0))

    def _day_and_key(self, number: int) -> tuple[date, str]:
        if self.cadence == "month":
            day = date(EPOCH.year + number // 12, number % 12 + 1, 1)
            return day, day.isoformat()[:7]
        if self.cadence == "week":
            day = EPOCH + 7 * number * DAY
            return day, day.isoformat()
        day = EPOCH + number // PER_DAY[self.cadence] * DAY
        while number < self._before(day):
            day -= DAY
        while number >= self._before(day + DAY):
            day += DAY
        place = number - self._before(day)
        odd = self._odd_days(day.year).get(day)
        if odd is not None:
            return day, odd[place]
        return day, f"{day.isoformat()}T{place:02d}" if self.cadence == "hour" else day.isoformat()

    def _before(self, day: date) -> int:
        """How many windows start from the epoch up to the beginning of `day`; by hour and by day only."""
        usual = PER_DAY[self.cadence]
        odd = self._odd_days(day.year)
        surplus = sum(len(keys) - usual for each, keys in odd.items() if each < day) if odd else 0
        return (day - EPOCH).days * usual + self._surplus_until(day.year) + surplus

    def _surplus_until(self, year: int) -> int:
        """How many windows more than usual there are from the epoch up to the beginning of `year`."""
        known = tuple(self._surplus)  # a copy, since another thread may be adding years
        for later in range(max(known) + 1, year + 1):
            self._surplus[later] = self._surplus[later - 1] + self._surplus_of(later - 1)
        for earlier in range(min(known) - 1, year - 1, -1):
            self._surplus[earlier] = self._surplus[earlier + 1] - self._surplus_of(earlier)
        return self._surplus[year]

    def _surplus_of(self, year: int) -> int:
        usual = PER_DAY[self.cadence]
        return sum(len(keys) - usual for keys in self._odd_days(year).values())

    def _odd_days(self, year: int) -> dict[date, tuple[str, ...]]:
        """The days of a year on which the offset changes, in order, and the keys of the windows that start on each."""
        found = self._odd.get(year)
        if found is None and self.tz in EVEN:
            found = self._odd[year] = {}
        elif found is None:
            first = date(year, 1, 1)
            days = [first + number * DAY for number in range((date(year + 1, 1, 1) - first).days + 1)]
            offsets = [self._offsets(day) for day in days]
            found = self._odd[year] = {
                day: self._keys_of(day)
                for day, here, after in zip(days, offsets, offsets[1:], strict=False)
                if here != after or here[0] != here[1]
            }
        return found

    def _offsets(self, day: date) -> tuple[timedelta | None, timedelta | None]:
        midnight = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        return midnight.utcoffset(), midnight.replace(fold=1).utcoffset()

    def _keys_of(self, day: date) -> tuple[str, ...]:
        text = day.isoformat()
        spans = takewhile(lambda span: span.key.startswith(text), spans_from(self.cadence, self.tz, day))
        return tuple(span.key for span in spans)


@lru_cache(maxsize=1024)
def windows_of(cadence: Cadence, tz: str) -> Windows | CronWindows:
    """The windows of a calendar, one object for the same calendar."""
    return CronWindows(cadence, tz) if is_cron(cadence) else Windows(cadence, tz)
