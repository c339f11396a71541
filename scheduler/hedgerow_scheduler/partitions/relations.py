"""Relations between two axes: which numbers of the one belong to which of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pyroaring import BitMap

from hedgerow.partitions.key_sets import KeySet
from hedgerow_scheduler.partitions.axes import TimeAxis
from hedgerow_scheduler.partitions.sets import runs


class Relation(Protocol):
    """What belongs to numbers of one axis on another one, of which only numbers below `extent` are asked for where there is no end to them.

    `is_single` tells that no number leads to more than one, and always to the same.
    """

    is_single: bool

    def image(self, of: BitMap, extent: int) -> BitMap:
        """The numbers that belong to any of these."""


class Identity:
    """Each number belongs to itself."""

    is_single = True

    def image(self, of: BitMap, extent: int) -> BitMap:  # noqa: ARG002
        """The same numbers."""
        return of


class Stretch:
    """Windows of time, and those that overlap them in another calendar (or the same one), counted on or back by some.

    A window numbered n leads to those from `low` after the first that overlaps the one `early` after n, to `high` after the last
    that overlaps the one `late` after n; of those, the ones numbered below `size`. Both calendars are without gaps, so that a run
    of windows leads to a run.
    """

    is_single = False

    def __init__(
        self,
        source: TimeAxis,
        target: TimeAxis,
        size: int,
        *,
        low: int = 0,
        high: int = 0,
        early: int = 0,
        late: int = 0,
    ) -> None:
        self._source, self._target, self._size = source, target, size
        self._low, self._high, self._early, self._late = low, high, early, late
        self._is_one_calendar = source.windows is target.windows

    @property
    def shifts(self) -> tuple[int, int] | None:
        """The least and the most that is added to a number, where that is all there is to it; None between two calendars."""
        if not self._is_one_calendar:
            return None
        between = self._source.first - self._target.first
        return between + self._early + self._low, between + self._late + self._high

    def alike_until(self, number: int) -> int:
        """The last of the windows from `number` on that all lead to the same ones."""
        if self._is_one_calendar or self._early != self._late:
            return number
        ours, theirs = self._source.windows, self._target.windows
        offset = self._source.first + self._early
        first, last = theirs.within(ours, number + offset)
        if first != last:
            return number
        until = ours.within(theirs, first)[1]
        if theirs.within(ours, until)[1] != first:
            until -= 1
        return max(number, until - offset)

    def image(self, of: BitMap, extent: int) -> BitMap:  # noqa: ARG002
        """The windows between start and end that belong to any of these."""
        found = BitMap()
        for first, last in runs(of):
            begin = self._first(self._source.first + first + self._early) + self._low - self._target.first
            end = self._last(self._source.first + last + self._late) + self._high - self._target.first
            begin, end = max(begin, 0), min(end, self._size - 1)
            if begin <= end:
                found.add_range(begin, end + 1)
        return found

    def _first(self, number: int) -> int:
        if self._is_one_calendar:
            return number
        return self._target.windows.within(self._source.windows, number)[0]

    def _last(self, number: int) -> int:
        if self._is_one_calendar:
            return number
        return self._target.windows.within(self._source.windows, number)[1]


class Listed:
    """Numbers listed one by one with those that belong to them; any other leads to `other`."""

    def __init__(self, listed: Mapping[int, BitMap], other: BitMap | None = None) -> None:
        self.listed = dict(listed)
        self.other = other or BitMap()
        self.numbers = BitMap(self.listed)
        self.is_single = not self.other and all(len(leads_to) <= 1 for leads_to in self.listed.values())

    def image(self, of: BitMap, extent: int) -> BitMap:  # noqa: ARG002
        """The union of what is listed, and of `other` where one of these is not listed."""
        named = of & self.numbers
        found = BitMap.union(BitMap(), *(self.listed[number] for number in named)) if named else BitMap()
        return found | self.other if self.other and len(named) < len(of) else found


class ListedBackwards:
    """The reverse of `Listed`: which numbers lead to any of these."""

    def __init__(self, forwards: Listed) -> None:
        self._forwards = forwards
        self._back: dict[int, BitMap] = {}
        for number, leads_to in forwards.listed.items():
            for each in leads_to:
                self._back.setdefault(each, BitMap()).add(number)
        self._numbers = BitMap(self._back)
        self.is_single = not forwards.other and all(len(numbers) <= 1 for numbers in self._back.values())

    def image(self, of: BitMap, extent: int) -> BitMap:
        """The numbers that are listed with any of these, and all that are not listed below `extent` if those lead to any."""
        named = of & self._numbers
        found = BitMap.union(BitMap(), *(self._back[number] for number in named)) if named else BitMap()
        if self._forwards.other.intersect(of):
            found |= BitMap(range(extent)) - self._forwards.numbers
        return found


class Pairs:
    """What is listed by key, there and back: made again when there are other keys in the sets that it speaks of."""

    def __init__(self, make: Callable[[], Listed], sets: Sequence[KeySet]) -> None:
        self._make, self._sets = make, sets
        self._stages: tuple[int, ...] | None = None

    @property
    def is_single(self) -> bool:
        """As a relation has it, there."""
        return not self._sets and self.forwards.is_single

    @property
    def is_single_back(self) -> bool:
        """As a relation has it, back."""
        return not self._sets and self.backwards.is_single

    @property
    def forwards(self) -> Listed:
        """From downstream to upstream."""
        self._renew()
        return self._forwards

    @property
    def backwards(self) -> ListedBackwards:
        """From upstream to downstream."""
        self._renew()
        return self._backwards

    def _renew(self) -> None:
        stages = tuple(each.numbered for each in self._sets)
        if stages != self._stages:
            self._forwards = self._make()
            self._backwards = ListedBackwards(self._forwards)
            self._stages = stages


class Forwards:
    """Pairs from downstream to upstream."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self.is_single = pairs.is_single

    def image(self, of: BitMap, extent: int) -> BitMap:
        """What is listed with any of these, there."""
        return self._pairs.forwards.image(of, extent)


class Backwards:
    """Pairs from upstream to downstream."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self.is_single = pairs.is_single_back

    def image(self, of: BitMap, extent: int) -> BitMap:
        """What is listed with any of these, back."""
        return self._pairs.backwards.image(of, extent)


class ByKey:
    """The keys of one set that are keys of another one as well."""

    is_single = False  # which are may change

    def __init__(self, source: KeySet, target: KeySet) -> None:
        self._source, self._target = source, target

    def image(self, of: BitMap, extent: int) -> BitMap:  # noqa: ARG002
        """The numbers of the same keys in the other set."""
        keys = (self._source.key(number) for number in of)
        numbers = (self._target.number(key) for key in keys if key is not None)
        return BitMap(number for number in numbers if number is not None)
