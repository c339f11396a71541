"""Spaces: the partitions of one definition, numbered, so that sets of them are bitmaps.

Windows of time are counted from the first, complete or not, and vary slowest in a product; the other dimensions count as they were
declared. So a number means the same partition for ever, as long as the definition stays.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
from pyroaring import BitMap

from hedgerow.errors import RequestError
from hedgerow.identifiers import DIMENSION_SEPARATOR
from hedgerow.partitions import algebra
from hedgerow.partitions.calendar import Span, span_at
from hedgerow.partitions.model import Partitions, StaticPartitions, TimePartitions, dimensions

MOST = 2**32
ONLY = BitMap([0])
KEPT = 10_000


class Space:
    """The numbers of the partitions of one definition; one without partitions has the number 0 alone."""

    def __init__(self, partitions: Partitions | None) -> None:
        self.partitions = partitions
        dims = dimensions(partitions) if partitions is not None else ()
        self._dims = dims
        times = [dim for dim in dims if isinstance(dim, TimePartitions)]
        if len(times) > 1:
            raise RequestError.of(
                "HR-Q106",
                f"The partitions have {len(times)} dimensions of time ({', '.join(dim.dim for dim in times)}); they are numbered by one.",
                "Keep one dimension of time, and make the others static or the assets several.",
            )
        self._time = _Windows(times[0]) if times else None
        self._statics = tuple(dim for dim in dims if isinstance(dim, StaticPartitions))
        self._places = tuple({key: number for number, key in enumerate(dim.keys)} for dim in self._statics)
        self.width = math.prod(len(dim.keys) for dim in self._statics)
        self._existing: tuple[int, BitMap] = (-1, BitMap())

    def ordinal(self, key: str | None) -> int | None:
        """The number of a partition, complete or not; None for a key that can't be one."""
        if self.partitions is None:
            return 0 if not key else None
        parts = (key or "").split(DIMENSION_SEPARATOR)
        if len(parts) != len(self._dims):
            return None
        window, low, place = 0, 0, 0
        for dim, part in zip(self._dims, parts, strict=True):
            if isinstance(dim, TimePartitions):
                found = self._time.number(part) if self._time else None
                if found is None:
                    return None
                window = found
            else:
                number = self._places[place].get(part)
                if number is None:
                    return None
                low = low * len(dim.keys) + number
                place += 1
        return window * self.width + low

    def key(self, ordinal: int) -> str | None:
        """The key of a number."""
        if self.partitions is None:
            return None
        window, low = divmod(ordinal, self.width)
        static: list[str] = []
        for dim in reversed(self._statics):
            low, number = divmod(low, len(dim.keys))
            static.append(dim.keys[number])
        parts = [
            self._time.key(window) if isinstance(dim, TimePartitions) and self._time else static.pop()
            for dim in self._dims
        ]
        return DIMENSION_SEPARATOR.join(parts)

    def count(self, now: datetime) -> int:
        """How many partitions exist."""
        return self.width * (algebra.count(self._time.partitions, now) if self._time else 1)

    def existing(self, now: datetime) -> BitMap:
        """The partitions that exist: whose window is complete. Not to be altered."""
        if self._time is None:
            return ONLY if self.partitions is None else self._up_to(self.width)
        return self._up_to(self._time.complete(now) * self.width)

    def latest(self, now: datetime, lookback: timedelta | None) -> BitMap | None:
        """The partitions of the last complete window, or of all that ended within `lookback`; None when there is no time: all of them."""
        if self._time is None:
            return None
        end = self._time.complete(now)
        begin = end - 1 if lookback is None else self._time.first_after(now - lookback, end)
        return BitMap(range(max(0, begin) * self.width, end * self.width))

    def next_change(self, now: datetime) -> datetime | None:
        """When the next window is complete; None when that is never."""
        return self._time.next_complete(now) if self._time else None

    def ends(self, ordinal: int) -> tuple[datetime, datetime]:
        """The first instant of a partition's window and the first after it; only where there is time."""
        assert self._time is not None
        span = self._time.span(ordinal // self.width)
        return span.start, span.end

    def between(self, first: datetime, last: datetime) -> BitMap:
        """The partitions whose windows overlap the time between two instants, whether they exist or not; only where there is time."""
        assert self._time is not None
        begin, end = self._time.overlapping(first, last)
        return BitMap(range(begin * self.width, end * self.width))

    def range(self, first: str, last: str, now: datetime) -> BitMap:
        """The partitions from `first` to `last`, as `algebra.key_range` has them, with its errors."""
        if self.partitions is None:
            algebra.check_key(None, first, now)
            return ONLY
        found = (self.ordinal(key) for key in algebra.key_range(self.partitions, first, last, now))
        return BitMap(ordinal for ordinal in found if ordinal is not None)

    def _up_to(self, count: int) -> BitMap:
        if self._existing[0] != count:
            if count > MOST:
                raise RequestError.of(
                    "HR-Q106",
                    f"There are {count:,} partitions; at most {MOST:,} can be told apart.",
                    "Partition more coarsely.",
                )
            self._existing = (count, BitMap(range(count)))
        return self._existing[1]


class _Windows:
    """The windows of one dimension of time by number, in a table that grows as far as it is asked."""

    def __init__(self, partitions: TimePartitions) -> None:
        self.partitions = partitions
        self._spans: list[Span] = []
        self._numbers: dict[str, int] = {}
        self._more: Iterator[Span] = algebra.spans(partitions)
        self._complete: tuple[datetime, datetime | None, int] | None = None

    def _grow(self) -> Span | None:
        span = next(self._more, None)
        if span is not None:
            self._numbers[span.key] = len(self._spans)
            self._spans.append(span)
        return span

    def number(self, key: str) -> int | None:
        """The number of a window; None when the key is none between start and end."""
        found = self._numbers.get(key)
        if found is None and (span := algebra.span_in(self.partitions, key)) is not None:
            while (not self._spans or self._spans[-1].start < span.start) and self._grow():
                pass
            found = self._numbers.get(key)
        return found

    def key(self, number: int) -> str:
        """The key of a number."""
        return self.span(number).key

    def span(self, number: int) -> Span:
        """The window of a number."""
        while len(self._spans) <= number and self._grow():
            pass
        return self._spans[number]

    def overlapping(self, first: datetime, last: datetime) -> tuple[int, int]:
        """The numbers from which and before which windows overlap the time between two instants."""
        while (not self._spans or self._spans[-1].start < last) and self._grow():
            pass
        begin = bisect_right(self._spans, first, key=lambda span: span.end)
        return begin, bisect_left(self._spans, last, key=lambda span: span.start)

    def complete(self, now: datetime) -> int:
        """How many windows are complete."""
        known = self._complete
        if known is None or now < known[0] or (known[1] is not None and now >= known[1]):
            last = algebra.last_complete(self.partitions, now)
            found = 0 if last is None else (self.number(last.key) or 0) + 1
            self._complete = known = (now, self.next_complete(now), found)
        return known[2]

    def first_after(self, edge: datetime, end: int) -> int:
        """The number of the first of the `end` first windows that ends after `edge`."""
        begin = end
        while begin > 0 and self._spans[begin - 1].end > edge:
            begin -= 1
        return begin

    def next_complete(self, now: datetime) -> datetime | None:
        """When the next window is complete."""
        start, end = algebra.bounds(self.partitions)
        if end is not None and now >= end:
            return None
        return span_at(self.partitions.cadence, self.partitions.tz, max(now, start)).end


_spaces: dict[bytes, Space] = {}


def space_of(partitions: Partitions | None) -> Space:
    """The space of a definition, one for equal ones."""
    key = msgspec.json.encode(partitions)
    found = _spaces.get(key)
    if found is None:
        if len(_spaces) >= KEPT:
            _spaces.clear()
        found = _spaces[key] = Space(partitions)
    return found
