"""Axes: one dimension of partitions, its keys numbered from 0."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, TypeAlias

from pyroaring import BitMap

from hedgerow.partitions.algebra import bounds, last_complete
from hedgerow.partitions.calendar import day_of
from hedgerow.partitions.dynamic import KnownPartitions
from hedgerow.partitions.instants import YEARS
from hedgerow.partitions.key_sets import MAX_KEYS, KeySet
from hedgerow.partitions.model import Dimension, StaticPartitions, TimePartitions
from hedgerow_scheduler.partitions.windows import windows_of

HORIZON = 2070
LEAST_YEARS = 50
KEPT_KEYS = 10_000  # in a product, each window comes with many other keys


class StaticAxis:
    """A dimension of static keys, numbered as they were declared."""

    def __init__(self, dim: StaticPartitions) -> None:
        self.dim = dim
        self.size = len(dim.keys)
        self._numbers = {key: number for number, key in enumerate(dim.keys)}

    def number(self, key: str) -> int | None:
        """The number of a key; None for what is no key."""
        return self._numbers.get(key)

    def key(self, number: int) -> str | None:
        """The key of a number; None for what is no number."""
        return self.dim.keys[number] if 0 <= number < self.size else None

    def stage(self, now: datetime) -> int:  # noqa: ARG002  # one signature for all kinds
        """What is another number whenever other keys exist: never."""
        return 0

    def present(self, now: datetime, size: int) -> BitMap:  # noqa: ARG002  # one signature for all kinds
        """The numbers below `size`."""
        return BitMap(range(min(self.size, size)))

    def numbered(self, now: datetime) -> int:  # noqa: ARG002  # one signature for all kinds
        """How many numbers have a key."""
        return self.size

    def last(self, count: int, now: datetime) -> BitMap:  # noqa: ARG002  # one signature for all kinds
        """The numbers of the last keys."""
        return BitMap(range(max(0, self.size - count), self.size))


class DynamicAxis:
    """A dimension of keys that come and go, numbered as they came: there is room for all that a set may ever have."""

    def __init__(self, dim: KnownPartitions) -> None:
        self.dim = dim
        self.known = dim.known
        self.size = MAX_KEYS
        self._present = BitMap()
        self._seen = 0

    def number(self, key: str) -> int | None:
        """The number of a key, also of one that was removed; None for what never was one."""
        return self.known.number(key)

    def key(self, number: int) -> str | None:
        """The key of a number; None for what is no number."""
        return self.known.key(number)

    def stage(self, now: datetime) -> int:  # noqa: ARG002  # one signature for all kinds
        """What is another number whenever other keys exist."""
        return len(self.known.log)

    def present(self, now: datetime, size: int) -> BitMap:  # noqa: ARG002  # one signature for all kinds
        """The numbers below `size` of the keys that exist; shared, not to be altered."""
        if self._seen != len(self.known.log):
            added, removed = self.since(self._seen)
            self._seen = len(self.known.log)
            self._present = (self._present | added) - removed
        return self._present if self.known.numbered <= size else self._present & BitMap(range(size))

    def numbered(self, now: datetime) -> int:  # noqa: ARG002  # one signature for all kinds
        """How many numbers have a key."""
        return self.known.numbered

    def since(self, stage: int) -> tuple[BitMap, BitMap]:
        """The numbers of the keys that were added since then, or came back, and of those that were removed."""
        touched = BitMap(self.known.log[stage:])
        added = BitMap(number for number in touched if self.known.exists(number))
        return added, touched - added

    def last(self, count: int, now: datetime) -> BitMap:
        """The numbers of the keys that came last."""
        present = self.present(now, self.size)
        return BitMap(present[max(0, len(present) - count) :]) if present else BitMap()


class _Complete(NamedTuple):
    since: datetime
    until: datetime | None
    windows: int


class TimeAxis:
    """A dimension of time: its windows are counted from the start on, complete or not."""

    def __init__(self, dim: TimePartitions) -> None:
        self.dim = dim
        self.windows = windows_of(dim.cadence, dim.tz)
        bounds(dim)  # refuses what is no start or end
        self.first = self.windows.number(dim.start) or 0
        end = self.windows.number(dim.end) if dim.end is not None else None
        self.size = end - self.first if end is not None else self.windows.before_year(YEARS.stop) - self.first
        """One more than the largest number; without an end, it is a little more than there can be."""
        horizon = max(HORIZON, day_of(dim.start).year + LEAST_YEARS)
        self.wanted = self.size if end is not None else self.windows.before_year(horizon) - self.first
        """How many windows the numbering must have room for."""
        self._complete: _Complete | None = None
        self._numbers: dict[str, int | None] = {}

    def number(self, key: str) -> int | None:
        """The number of a window, complete or not; None for what is no key between start and end."""
        try:
            return self._numbers[key]
        except KeyError:
            found = self.windows.number(key)
            number = found - self.first if found is not None and 0 <= found - self.first < self.size else None
            if len(self._numbers) >= KEPT_KEYS:
                self._numbers.clear()
            self._numbers[key] = number
            return number

    def key(self, number: int) -> str | None:
        """The key of a number; None for what is no number."""
        return self.windows.key(self.first + number) if 0 <= number < self.size else None

    def existing(self, now: datetime) -> int:
        """How many windows are complete; they have the numbers below."""
        return self._at(now).windows

    def stage(self, now: datetime) -> int:
        """What is another number whenever other windows exist."""
        return self.existing(now)

    def present(self, now: datetime, size: int) -> BitMap:
        """The numbers below `size` of the complete windows."""
        return BitMap(range(min(self.existing(now), size)))

    def numbered(self, now: datetime) -> int:
        """How many numbers there are of windows that are complete, and of the one that is not yet."""
        return min(self.existing(now) + 1, self.size)

    def next_change(self, now: datetime) -> datetime | None:
        """When the next window is complete; None when that is never."""
        return self._at(now).until

    def last(self, count: int, now: datetime) -> BitMap:
        """The numbers of the last complete windows."""
        end = self.existing(now)
        return BitMap(range(max(0, end - count), end))

    def since(self, instant: datetime, now: datetime) -> BitMap:
        """The numbers of the last complete window, and of all that ended after `instant`."""
        end = self.existing(now)
        begin = self.windows.holding(instant) - self.first
        return BitMap(range(max(0, min(begin, end - 1)), end))

    def _at(self, now: datetime) -> _Complete:
        known = self._complete
        if known is None or now < known.since or (known.until is not None and now >= known.until):
            last = last_complete(self.dim, now)
            count = (self.number(last.key) or 0) + 1 if last is not None else 0
            until = self.windows.span(self.first + count).end if count < self.size else None
            self._complete = known = _Complete(now, until, count)
        return known


Axis: TypeAlias = StaticAxis | TimeAxis | DynamicAxis


def axis_of(dim: Dimension) -> Axis:
    """The axis of a dimension. Dynamic partitions that are bound to no set have no keys."""
    if isinstance(dim, TimePartitions):
        return TimeAxis(dim)
    if isinstance(dim, StaticPartitions):
        return StaticAxis(dim)
    known = dim if isinstance(dim, KnownPartitions) else None
    return DynamicAxis(known or KnownPartitions(name=dim.name, dim=dim.dim, known=KeySet("", dim.name)))
