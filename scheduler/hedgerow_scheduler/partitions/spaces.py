"""Spaces: the partitions of one definition, numbered, so that sets of them are bitmaps.

Dynamic keys are counted in the order in which they came, and vary slowest in a product, so that only as many are provided for as may
be told apart. Windows of time are counted from the first, complete or not, and come next; then the other dimensions in the order in which
they were declared. So a number means the same partition for ever, as long as the definition stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from hedgerow.errors import RequestError
from hedgerow.identifiers import DIMENSION_SEPARATOR
from hedgerow.partitions import algebra
from hedgerow.partitions.dynamic import KnownPartitions
from hedgerow.partitions.key_sets import KeySet
from hedgerow.partitions.model import DynamicPartitions, Partitions, StaticPartitions, TimePartitions, dimensions
from hedgerow_scheduler.partitions.axes import Axis, DynamicAxis, TimeAxis, axis_of
from hedgerow_scheduler.partitions.sets import place

MOST = 2**32 - 2  # bitmaps count in 32 bits; the two largest numbers mark ends
ONLY = BitMap([0])
LEAST_KEYS = 1_000  # that there must be room for in a set
KEPT_KEYS = 65_536
KEPT_SPACES = 10_000
_RANKS: dict[type, int] = {TimePartitions: 1, StaticPartitions: 2}


class Scale(NamedTuple):
    """An axis and its part of a number: `step` is what its next key adds, `size` how many keys there is room for."""

    axis: Axis
    position: int  # of its key in a partition key
    step: int
    size: int


class Space:
    """The numbers of the partitions of one definition; one without partitions has the number 0 alone.

    RequestError HR-Q106 when 32 bits do not hold them. What is returned is shared: it is not to be altered.
    """

    def __init__(self, partitions: Partitions | None) -> None:
        self.partitions = partitions
        self.scales = _scales(partitions)
        """The axes, the slowest first."""
        self._times = [scale.axis for scale in self.scales if isinstance(scale.axis, TimeAxis)]
        self.dynamic = tuple(scale for scale in self.scales if isinstance(scale.axis, DynamicAxis))
        """The axes of keys that come and go."""
        self.is_timed = bool(self._times)
        """Whether there is a dimension of time."""
        self._timed = next((n for n, scale in enumerate(self.scales) if isinstance(scale.axis, TimeAxis)), None)
        self._numbers: dict[str, int] = {}
        self._existing: tuple[tuple[int, ...], BitMap] | None = None

    def ordinal(self, key: str | None) -> int | None:
        """The number of a partition, complete or not; None for a key that can't be one."""
        if not key or self.partitions is None:
            return 0 if not key and self.partitions is None else None
        try:
            return self._numbers[key]
        except KeyError:
            if len(self._numbers) >= KEPT_KEYS:
                self._numbers.clear()
            number = self._ordinal(key)
            if number is not None:  # of what is none there is no end, and what is no key of a set may come to be one
                self._numbers[key] = number
            return number

    def key(self, ordinal: int) -> str | None:
        """The key of a number; None without partitions, and for a number that no partition has."""
        parts = [""] * len(self.scales)
        rest = ordinal
        for scale in self.scales:
            number, rest = divmod(rest, scale.step)
            part = scale.axis.key(number)
            if part is None:
                return None
            parts[scale.position] = part
        return DIMENSION_SEPARATOR.join(parts) if parts else None

    def count(self, now: datetime) -> int:
        """How many partitions exist."""
        return len(self.existing(now))

    def existing(self, now: datetime) -> BitMap:
        """The partitions that exist: whose windows are complete, and whose keys are in their sets."""
        if not self.scales:
            return ONLY
        stages = tuple(scale.axis.stage(now) for scale in self.scales)
        known = self._existing
        if known is None or known[0] != stages:
            known = self._existing = (stages, self._existing_after(known, stages, now))
        return known[1]

    def _existing_after(
        self, known: tuple[tuple[int, ...], BitMap] | None, stages: tuple[int, ...], now: datetime
    ) -> BitMap:
        """What exists, made from what did where only keys have come or gone since."""
        if known is not None and self.dynamic:
            is_keyed = [isinstance(scale.axis, DynamicAxis) for scale in self.scales]
            pairs = list(zip(is_keyed, known[0], stages, strict=True))
            if all(dynamic or before == after for dynamic, before, after in pairs):
                added, removed = self.altered(tuple(before for dynamic, before, _ in pairs if dynamic), now)
                return (known[1] | added) - removed if removed else known[1] | added
        return self.grid([scale.axis.present(now, scale.size) for scale in self.scales])

    def room(self) -> Iterator[tuple[KeySet, int]]:
        """For how many keys of each of its sets there are numbers."""
        for scale in self.dynamic:
            if isinstance(scale.axis, DynamicAxis):
                yield scale.axis.known, scale.size

    def stages(self) -> tuple[int, ...]:
        """How far the sets of its dynamic keys have come."""
        return tuple(len(axis.known.log) for axis, _ in self._sets())

    def altered(self, stages: tuple[int, ...], now: datetime) -> tuple[BitMap, BitMap]:
        """The partitions, with complete windows, of the keys that were added to a set since those stages, and of those removed."""
        found = (BitMap(), BitMap())
        for (axis, size), stage in zip(self._sets(), stages, strict=True):
            for into, altered in zip(found, axis.since(stage), strict=True):
                if changed := altered & BitMap(range(size)):
                    into |= self.grid(
                        [
                            changed
                            if scale.axis is axis
                            else BitMap(range(min(scale.axis.numbered(now), scale.size)))
                            if isinstance(scale.axis, DynamicAxis)
                            else scale.axis.present(now, scale.size)
                            for scale in self.scales
                        ]
                    )
        return found

    def _sets(self) -> list[tuple[DynamicAxis, int]]:
        return [(scale.axis, scale.size) for scale in self.scales if isinstance(scale.axis, DynamicAxis)]

    def latest(self, now: datetime, lookback: timedelta | None) -> BitMap | None:
        """The partitions of the last complete windows and, with `lookback`, of all that ended within it; None without time: all."""
        if not self._times:
            return None
        return self.grid(
            [
                scale.axis.present(now, scale.size)
                if not isinstance(scale.axis, TimeAxis)
                else scale.axis.last(1, now)
                if lookback is None
                else scale.axis.since(now - lookback, now)
                for scale in self.scales
            ]
        )

    @property
    def time(self) -> Scale:
        """The axis of time, the slowest of several; AssertionError without any."""
        assert self._timed is not None
        return self.scales[self._timed]

    def window(self, ordinal: int) -> int:
        """The number, on the axis of time, of the window that a partition is of."""
        within = ordinal % self.scales[self._timed - 1].step if self._timed else ordinal
        return within // self.time.step

    def since_window(self, number: int, now: datetime) -> BitMap:
        """The partitions that exist of that window and all later ones."""
        before = BitMap(range(number))
        return self.grid(
            [
                scale.axis.present(now, scale.size) - before
                if index == self._timed
                else scale.axis.present(now, scale.size)
                for index, scale in enumerate(self.scales)
            ]
        )

    def next_change(self, now: datetime) -> datetime | None:
        """When the next window is complete; None when that is never."""
        return min((change for axis in self._times if (change := axis.next_change(now)) is not None), default=None)

    def range(self, first: str, last: str, now: datetime) -> BitMap:
        """The partitions from `first` to `last`, as `algebra.key_range` has them, with its errors."""
        for key in (first, last):
            algebra.check_key(self.partitions, key, now)
        if self.partitions is None:
            return ONLY
        begins, ends = first.split(DIMENSION_SEPARATOR), last.split(DIMENSION_SEPARATOR)
        stretches: list[BitMap] = []
        for scale in self.scales:
            begin = scale.axis.number(begins[scale.position])
            end = scale.axis.number(ends[scale.position])
            if begin is None or end is None or end < begin or (begin < end and isinstance(scale.axis, DynamicAxis)):
                algebra.key_range(self.partitions, first, last, now)  # says which end is wrong
                return BitMap()
            stretches.append(BitMap(range(begin, end + 1)))
        return self.grid(stretches)

    def grid(self, numbers: Sequence[BitMap]) -> BitMap:
        """Every combination of the given numbers, one set for each of the `scales`."""
        found = ONLY
        for scale, chosen in zip(reversed(self.scales), reversed(numbers), strict=True):
            found = place(found, chosen, scale.step)
        return found

    def _ordinal(self, key: str) -> int | None:
        parts = key.split(DIMENSION_SEPARATOR)
        if len(parts) != len(self.scales):
            return None
        total = 0
        for scale in self.scales:
            number = scale.axis.number(parts[scale.position])
            if number is None or number >= scale.size:
                return None
            total += number * scale.step
        return total


def _scales(partitions: Partitions | None) -> tuple[Scale, ...]:
    """The axes with their steps: dynamic ones first, then those of time; the very first with all the room that is left."""
    dims = list(enumerate(dimensions(partitions))) if partitions is not None else []
    ordered = sorted(dims, key=lambda pair: _RANKS.get(type(pair[1]), 0))
    is_keyed = any(isinstance(dim, DynamicPartitions) for _, dim in dims)
    scales: list[Scale] = []
    step = 1
    for position, dim in reversed(ordered):
        axis = axis_of(dim)
        is_slowest = len(scales) == len(ordered) - 1
        if isinstance(axis, DynamicAxis) and is_slowest:
            size = max(LEAST_KEYS, min(axis.size, MOST // step))
        else:
            size = axis.wanted if isinstance(axis, TimeAxis) else axis.size
        scales.append(Scale(axis, position, step, size))
        # The window after the last is left free, so that no run of windows goes on with those of the next key.
        step *= size + 1 if isinstance(axis, TimeAxis) and not is_slowest and is_keyed else size
    if step > MOST:
        raise RequestError.of(
            "HR-Q106",
            f"There may be {step:,} partitions in the years to come, and at most {MOST:,} can be told apart.",
            "Partition more coarsely, give the dimensions of time an end, or divide the asset into several.",
        )
    if scales and isinstance(scales[-1].axis, TimeAxis):
        slowest = scales[-1]
        scales[-1] = slowest._replace(size=min(slowest.axis.size, MOST // slowest.step))
    return tuple(reversed(scales))


_spaces: dict[tuple[bytes, tuple[int, ...]], Space] = {}
_recent: dict[int, tuple[Partitions | None, Space]] = {}


def space_of(partitions: Partitions | None) -> Space:
    """The space of a definition, one for equal ones."""
    known = _recent.get(id(partitions))
    if known is not None:
        return known[1]
    sets = (
        tuple(id(dim.known) for dim in dimensions(partitions) if isinstance(dim, KnownPartitions)) if partitions else ()
    )
    same = (msgspec.json.encode(partitions), sets)
    space = _spaces.get(same)
    if space is None:
        if len(_spaces) >= KEPT_SPACES:
            _spaces.clear()
        space = _spaces[same] = Space(partitions)
    if len(_recent) >= KEPT_SPACES:
        _recent.clear()
    # The definition is kept as well, so that no other object can come to have its identity.
    _recent[id(partitions)] = (partitions, space)
    return space
