"""The windows of a cron expression by number, found by counting ticks instead of walking from one to the next."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from hedgerow.partitions.instants import YEARS
from hedgerow.partitions.ticks import Span, ticks_of

KEPT = 65_536
INSTANT = timedelta(microseconds=1)


class Numbered(Protocol):
    """The windows of any calendar."""

    cadence: str
    tz: str
    farthest: int
    """The farthest number from number 0 that is looked at, on or back."""

    def span(self, number: int) -> Span:
        """The window of a number."""


class CronWindows:
    """The windows from each tick of the expression `cadence` in the zone `tz` to the next; number 0 is the first of the year 2001."""

    def __init__(self, cadence: str, tz: str) -> None:
        self.cadence = cadence
        self.tz = tz
        self._ticks = ticks_of(cadence, tz)
        self.farthest = 8 * self._ticks.per_cycle  # 224 years: more than the years that partitions may lie in
        self._spans: dict[int, Span] = {}
        self._within: dict[Numbered, dict[int, tuple[int, int]]] = {}

    def number(self, key: str) -> int | None:
        """The number of a window; None when the text is not a key of this calendar."""
        return self._ticks.number(key)

    def key(self, number: int) -> str | None:
        """The key of a number; None when its year is not one that partitions may lie in."""
        if abs(number) > self.farthest:
            return None
        key = self.span(number).key
        return key if int(key[:4]) in YEARS else None

    def span(self, number: int) -> Span:
        """The window of a number; for one that is out of all reason, one that is as far as any can be."""
        found = self._spans.get(number)
        if found is None:
            if len(self._spans) >= KEPT:
                self._spans.clear()
            found = self._spans[number] = self._ticks.span(max(-self.farthest, min(number, self.farthest)))
        return found

    def holding(self, instant: datetime) -> int:
        """The number of the window that holds `instant`."""
        return self._ticks.holding(instant)

    def within(self, others: Numbered, number: int) -> tuple[int, int]:
        """The numbers of the first and the last window here that overlap a window of another calendar."""
        known = self._within.setdefault(others, {})
        found = known.get(number)
        if found is None:
            if len(known) >= KEPT:
                known.clear()
            span = others.span(number)
            found = known[number] = self.holding(span.start), self.holding(span.end - INSTANT)
        return found

    def before_year(self, year: int) -> int:
        """The number of the first window that starts in `year`; it may be too large by some, to spare looking at every day until then."""
        return self._ticks.about_before_year(year)
