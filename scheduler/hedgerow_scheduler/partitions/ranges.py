"""Ranges: a set of partitions as people read it, and how many partitions there are in each of several sets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from pyroaring import BitMap

from hedgerow_scheduler.partitions.axes import TimeAxis
from hedgerow_scheduler.partitions.spaces import Space

MOST_LISTED = 100


class Range(NamedTuple):
    """The partitions from `first` to `last`, both included, and how many they are. They differ in the dimension of time only (without time, in
    the slowest one); None without partitions.
    """

    first: str | None
    last: str | None
    partitions: int


class Ranges(NamedTuple):
    """Ranges in the order in which they begin, and of what is not listed the number of ranges and of partitions."""

    listed: tuple[Range, ...]
    more_ranges: int
    more_partitions: int


def ranges(space: Space, of: BitMap, most: int = MOST_LISTED) -> Ranges:
    """The set as ranges of time (of keys as they were declared, where there is no time), each for one combination of the other dimensions.

    The work is that of a few operations on the set as a whole, and of one for each of the `most` ranges that are listed.
    """
    along = next((scale for scale in space.scales if isinstance(scale.axis, TimeAxis)), next(iter(space.scales), None))
    step, reach = (along.step, along.step * along.size) if along is not None else (1, 1)
    begins = of - of.shift(step)
    ends = of - of.shift(-step)
    listed: list[Range] = []
    for begin in islice(begins, most):
        end = ends.next_set_bit(begin) if step == 1 else _next_at(ends, begin, step, reach)
        listed.append(Range(space.key(begin), space.key(end), (end - begin) // step + 1))
    return Ranges(tuple(listed), len(begins) - len(listed), len(of) - sum(each.partitions for each in listed))


def summary(space: Space, sets: Mapping[str, BitMap], now: datetime) -> dict[str, int]:
    """How many of the partitions that exist are in each set, by the set's name."""
    existing = space.existing(now)
    return {name: of.intersection_cardinality(existing) for name, of in sets.items()}


def _next_at(of: BitMap, begin: int, step: int, reach: int) -> int:
    """The first number of the set from `begin` on that is a whole number of steps away, and less than `reach`."""
    if begin in of:
        return begin
    return (of & BitMap(range(begin, min(begin + reach, of.max() + 1), step))).min()
