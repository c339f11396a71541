"""Projections: sets of one space carried to another, axis by axis, by what belongs together on each.

A set is taken apart along its slowest axis into slices, each slice is carried over by the faster axes, and is then placed wherever the
slowest axis leads. Full slices go together and equal slices are carried over once, so that the effort follows the structure of a
set, not the number of partitions in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import NamedTuple

from pyroaring import BitMap

from hedgerow_scheduler.partitions.relations import Identity, Relation, Stretch
from hedgerow_scheduler.partitions.sets import folded, place, repeated, runs, slices
from hedgerow_scheduler.partitions.spaces import ONLY, Space

BEYOND = 2**32
LARGEST_TABLE = 2**16


class Link(NamedTuple):
    """Where an axis of the source leads: by `relation` to the axis of the target at the index `target`."""

    relation: Relation
    target: int


class _Limits(NamedTuple):
    """What is given with one call, and what follows from it."""

    fixed: Mapping[int, BitMap]
    only: Mapping[int, BitMap]
    extents: tuple[int, ...]
    base: BitMap
    kept: BitMap
    known: dict[tuple[int, bytes], BitMap]


class Projection:
    """The way from the space `source` to the space `target`. An axis of either that no link mentions is not bound to the other side."""

    def __init__(self, source: Space, target: Space, links: Mapping[int, Link]) -> None:
        self._source, self._target = source.scales, target.scales
        self._space = target
        self._links = dict(links)
        levels = range(len(self._source) + 1)
        self._dropped_from = next(n for n in levels if all(level not in links for level in range(n, len(self._source))))
        self._single_from = next(n for n in levels if all(map(self._is_single, range(n, len(self._source)))))
        self._tables: dict[int, dict[int, tuple[int, ...]]] = {}
        self._same_from = next(n for n in levels if all(map(self._is_same, range(n, len(self._source)))))

    def image(
        self, of: BitMap, *, fixed: Mapping[int, BitMap], only: Mapping[int, BitMap], extents: tuple[int, ...]
    ) -> BitMap:
        """Everything in the target that belongs to any of these.

        By index of axis, `fixed` says which numbers the result has on each axis of the target that has no link, `only` which numbers
        count on each axis of the source that has none; a relation without end goes on to the target's `extents`.
        """
        if not of:
            return BitMap()
        free = [level for level in range(self._dropped_from, len(self._source)) if level in only]
        kept = ONLY
        for level in reversed(range(self._dropped_from, len(self._source))):
            scale = self._source[level]
            kept = place(kept, only[level] if level in free else BitMap(range(scale.size)), scale.step)
        return self._from(0, of, _Limits(fixed, only, extents, self._spread(ONLY, fixed), kept, {}))

    def _from(self, level: int, of: BitMap, limits: _Limits) -> BitMap:
        """The image of a set within the axes from `level` on."""
        if level >= self._dropped_from:
            return limits.base if of.intersect(limits.kept) else BitMap()
        if level >= self._same_from:
            return self._spread(of, limits.fixed)
        if (link := self._links.get(level)) is None:
            return self._without(level, of, limits)
        scale, target = self._source[level], self._target[link.target]
        if not limits.fixed and level + 1 >= self._same_from and scale.step == target.step:
            shifts = link.relation.shifts if isinstance(link.relation, Stretch) else None
            if shifts is not None:
                low, high = shifts
                moved = repeated(of, high - low + 1, scale.step).shift(low * scale.step)
                moved.remove_range(target.size * target.step, BEYOND)
                return moved
        if level + 1 == len(self._source):
            return place(limits.base, link.relation.image(of, limits.extents[link.target]), target.step)
        found = BitMap()
        alike_until = link.relation.alike_until if isinstance(link.relation, Stretch) else None
        for first, last, content in slices(of, scale.step, alike_until):
            numbers = link.relation.image(BitMap(range(first, last + 1)), limits.extents[link.target])
            if numbers:
                found |= place(self._remembered(level + 1, content, limits), numbers, target.step)
        return found

    def _without(self, level: int, of: BitMap, limits: _Limits) -> BitMap:
        """The image of a set whose slowest axis leads nowhere: of what any of its slices holds."""
        step = self._source[level].step
        if (only := limits.only.get(level)) is not None:
            counting = BitMap()
            for first, last in runs(only):
                counting.add_range(first * step, (last + 1) * step)
            of = of & counting
        merged = folded(of, step)
        return self._from(level + 1, merged, limits) if merged else merged

    def _remembered(self, level: int, of: BitMap, limits: _Limits) -> BitMap:
        """The image of a slice, carried over once if others are equal."""
        if level >= self._dropped_from or (level >= self._same_from and not limits.fixed):
            return self._from(level, of, limits)
        key = (level, of.serialize())
        found = limits.known.get(key)
        if found is None:
            table = self._table(level, limits) if len(of) < self._source[level - 1].step else None
            found = self._by_table(table, level, of, limits) if table is not None else self._from(level, of, limits)
            limits.known[key] = found
        return found

    def _table(self, level: int, limits: _Limits) -> dict[int, tuple[int, ...]] | None:
        """Where single numbers within the axes from `level` on lead, as far as it is known; None where that is no single number or depends on the call."""
        is_bound = bool(limits.fixed) or any(index >= level for index in limits.only)
        if level < self._single_from or is_bound or self._source[level - 1].step > LARGEST_TABLE:
            return None
        return self._tables.setdefault(level, {})

    def _by_table(self, table: dict[int, tuple[int, ...]], level: int, of: BitMap, limits: _Limits) -> BitMap:
        """The image of a set number by number: a slice without structure is carried over faster so."""
        for number in of:
            if number not in table:
                table[number] = tuple(self._from(level, BitMap([number]), limits))
        return BitMap(chain.from_iterable(map(table.__getitem__, of)))

    def _spread(self, of: BitMap, fixed: Mapping[int, BitMap]) -> BitMap:
        """The set repeated for all the numbers that it is to have on the axes without link, the fastest axis first."""
        for level in reversed(range(len(self._target))):
            if level in fixed:
                of = place(of, fixed[level], self._target[level].step)
        return of

    def _is_single(self, level: int) -> bool:
        link = self._links.get(level)
        return link is None or link.relation.is_single

    def _is_same(self, level: int) -> bool:
        link = self._links.get(level)
        return (
            link is not None
            and isinstance(link.relation, Identity)
            and self._target[link.target].step == self._source[level].step
        )
