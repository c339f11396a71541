"""Crossings: a dependency's mapping applied to sets of partitions, in both directions.

What a mapping means is laid down in `hedgerow.partitions.resolution.upstream_keys`.
"""

from __future__ import annotations

from datetime import datetime

from pyroaring import BitMap

from hedgerow.errors import Problem, RequestError
from hedgerow.partitions.model import All, ByDim, Dimension, Keys, Last, Mapping, Partitions, Same, Window
from hedgerow.partitions.resolution import ANY_OTHER, default_mapping, validate_mapping
from hedgerow_scheduler.partitions.axes import DynamicAxis, StaticAxis, TimeAxis
from hedgerow_scheduler.partitions.projection import Link, Projection
from hedgerow_scheduler.partitions.relations import (
    Backwards,
    ByKey,
    Forwards,
    Identity,
    Listed,
    ListedBackwards,
    Pairs,
    Relation,
    Stretch,
)
from hedgerow_scheduler.partitions.spaces import Scale, Space, space_of

EMPTY = BitMap()
DimMapping = Same | All | Last | Window | Keys


class Crossing:
    """The way from a downstream definition to an upstream one by a mapping (None: the default one); RequestError HR-Q104 when it does not fit.

    What is returned may be shared: it is not to be altered.
    """

    def __init__(self, mapping: Mapping | None, downstream: Partitions | None, upstream: Partitions | None) -> None:
        if problem := validate_mapping(mapping, downstream, upstream):
            raise RequestError(Problem("HR-Q104", problem.message, problem.remedy))
        mapping = default_mapping(downstream, upstream) if mapping is None else mapping
        self._below, self._above = space_of(downstream), space_of(upstream)
        self._fixed: dict[int, All | Last | Keys] = {}
        """By index of an upstream axis: what is read of it by every downstream partition alike."""
        self._listed: Pairs | None = None
        forwards: dict[int, Link] = {}
        backwards: dict[int, Link] = {}
        if isinstance(mapping, Keys) and len(self._above.scales) > 1:
            self._listed = _pairs(mapping, self._below, self._above)
        else:
            for index, scale in enumerate(self._above.scales):
                chosen = _for_dim(mapping, downstream, upstream, scale.axis.dim)
                other = _counterpart(self._below, self._above, scale.axis.dim)
                if isinstance(chosen, All | Last):
                    self._fixed[index] = chosen
                elif other is None:
                    self._fixed[index] = chosen if isinstance(chosen, Keys) else Keys(())
                else:
                    there, back = _relations(chosen, self._below.scales[other], scale)
                    forwards[other], backwards[index] = Link(there, index), Link(back, other)
        self._is_whole = not forwards and self._listed is None
        self._is_same = len(forwards) == len(self._below.scales) == len(self._above.scales) > 0 and all(
            isinstance(link.relation, Identity)
            and self._below.scales[index].step == self._above.scales[link.target].step
            for index, link in forwards.items()
        )
        self._unbound = [index for index in range(len(self._below.scales)) if index not in forwards]
        self._forwards = Projection(self._below, self._above, forwards)
        self._backwards = Projection(self._above, self._below, backwards)

    @property
    def takes_what_there_is(self) -> bool:
        """Whether it reads whatever partitions there are of some dimension."""
        return any(isinstance(chosen, All | Last) for chosen in self._fixed.values())

    def upstream(self, of: BitMap, now: datetime) -> BitMap:
        """Every upstream partition that any of these downstream partitions reads."""
        if self._is_same:
            return of
        if not of:
            return EMPTY
        if self._is_whole:
            return self._reads(now)
        if self._listed is not None:
            return self._listed.forwards.image(of, 0)
        extents = tuple(scale.size for scale in self._above.scales)
        return self._forwards.image(of, fixed=self._read(now), only={}, extents=extents)

    def downstream(self, of: BitMap, now: datetime) -> BitMap:
        """The downstream partitions that read any of these: those that exist, those of the window that is not complete yet, and of later ones those that the mapping leads to by their time."""
        if self._is_same:
            return of
        return self._reading(of, tuple(self._extent(scale, now) for scale in self._below.scales), now)

    def any(self, scope: BitMap, holds: BitMap, now: datetime) -> BitMap:
        """Those of `scope` that read at least one of `holds`."""
        if self._is_same:
            return scope & holds
        if not scope or not holds:
            return EMPTY
        if self._is_whole:
            return scope if self._reads(now).intersect(holds) else EMPTY
        if len(scope) < len(holds):
            holds = self.upstream(scope, now) & holds
        slowest = scope.max()
        extents = tuple(
            slowest // scale.step + 1 if index == 0 else scale.size for index, scale in enumerate(self._below.scales)
        )
        return self._reading(holds, extents, now) & scope

    def all(self, scope: BitMap, holds: BitMap, now: datetime) -> BitMap:
        """Those of `scope` of which everything that they read is in `holds`; those that read nothing are among them."""
        if self._is_same:
            return scope & holds
        if not scope:
            return EMPTY
        lacking = self.upstream(scope, now) - holds
        return scope - self.any(scope, lacking, now) if lacking else scope

    def _reading(self, of: BitMap, extents: tuple[int, ...], now: datetime) -> BitMap:
        """The downstream partitions, within these numbers of keys on each axis, that read any of these."""
        if not of:
            return EMPTY
        if self._listed is not None:
            slowest = self._below.scales[0] if self._below.scales else None
            return self._listed.backwards.image(of, extents[0] * slowest.step if slowest else 1)
        fixed = {index: BitMap(range(extents[index])) for index in self._unbound}
        read = self._read(now)
        only = {index: some for index, some in read.items() if len(some) < self._above.scales[index].size}
        return self._backwards.image(of, fixed=fixed, only=only, extents=extents)

    def _read(self, now: datetime) -> dict[int, BitMap]:
        """By index of an upstream axis, the numbers on it that every downstream partition alike reads."""
        read: dict[int, BitMap] = {}
        for index, chosen in self._fixed.items():
            scale = self._above.scales[index]
            if isinstance(chosen, Keys):
                read[index] = _numbers(dict(chosen.pairs).get(ANY_OTHER, ()), scale)
            elif isinstance(chosen, Last):
                read[index] = scale.axis.last(chosen.count, now)
            else:
                read[index] = scale.axis.present(now, scale.size)
        return read

    def _reads(self, now: datetime) -> BitMap:
        """What every downstream partition reads, where all read the same."""
        if all(isinstance(chosen, All) for chosen in self._fixed.values()):
            return self._above.existing(now)
        read = self._read(now)
        return self._above.grid([read[index] for index in range(len(self._above.scales))])

    def _extent(self, scale: Scale, now: datetime) -> int:
        return min(scale.axis.numbered(now), scale.size)


def _for_dim(
    mapping: Mapping, downstream: Partitions | None, upstream: Partitions | None, dim: Dimension
) -> DimMapping:
    """What `mapping` means for one dimension of the upstream."""
    if not isinstance(mapping, ByDim):
        return mapping
    is_matched = _counterpart(space_of(downstream), space_of(upstream), dim) is not None
    return dict(mapping.pairs).get(dim.dim, Same() if is_matched else All())


def _counterpart(below: Space, above: Space, dim: Dimension) -> int | None:
    """The index of the downstream axis by way of which `dim` is read."""
    if len(below.scales) == 1 == len(above.scales):
        return 0
    return next((index for index, scale in enumerate(below.scales) if scale.axis.dim.dim == dim.dim), None)


def _relations(mapping: DimMapping, below: Scale, above: Scale) -> tuple[Relation, Relation]:
    """What belongs together on a downstream axis and an upstream one, there and back."""
    if isinstance(below.axis, TimeAxis) and isinstance(above.axis, TimeAxis) and isinstance(mapping, Same | Window):
        start, end = (mapping.start, mapping.end) if isinstance(mapping, Window) else (0, 0)
        there = Stretch(below.axis, above.axis, above.size, low=start, high=end)
        back = Stretch(above.axis, below.axis, below.size, early=-end, late=-start)
        if there.shifts == (0, 0) and below.size == above.size:
            return Identity(), Identity()
        return there, back
    if isinstance(mapping, Keys):
        pairs = _pairs_of_dim(mapping, below, above)
        return Forwards(pairs), Backwards(pairs)
    if isinstance(below.axis, DynamicAxis) and isinstance(above.axis, DynamicAxis):
        if below.axis.known is above.axis.known:
            return Identity(), Identity()
        return ByKey(below.axis.known, above.axis.known), ByKey(above.axis.known, below.axis.known)
    assert isinstance(below.axis, StaticAxis)
    assert isinstance(above.axis, StaticAxis)
    if below.axis.dim.keys == above.axis.dim.keys:
        return Identity(), Identity()
    listed = Listed({number: _numbers((key,), above) for number, key in enumerate(below.axis.dim.keys)})
    return listed, ListedBackwards(listed)


def _pairs_of_dim(mapping: Keys, below: Scale, above: Scale) -> Pairs:
    """Keys of a downstream axis that lead to keys of an upstream one."""

    def listed() -> Listed:
        pairs = dict(mapping.pairs)
        other = _numbers(pairs.pop(ANY_OTHER, ()), above)
        numbers = ((below.axis.number(key), to) for key, to in pairs.items())
        return Listed({number: _numbers(to, above) for number, to in numbers if number is not None}, other)

    return Pairs(listed, [scale.axis.known for scale in (below, above) if isinstance(scale.axis, DynamicAxis)])


def _pairs(mapping: Keys, below: Space, above: Space) -> Pairs:
    """Whole keys that lead to whole keys."""

    def listed() -> Listed:
        pairs = {key: BitMap(n for each in to if (n := above.ordinal(each)) is not None) for key, to in mapping.pairs}
        other = pairs.pop(ANY_OTHER, None)
        return Listed({number: to for key, to in pairs.items() if (number := below.ordinal(key)) is not None}, other)

    axes = (scale.axis for space in (below, above) for scale in space.dynamic)
    return Pairs(listed, [axis.known for axis in axes if isinstance(axis, DynamicAxis)])


def _numbers(keys: tuple[str, ...], scale: Scale) -> BitMap:
    numbers = (scale.axis.number(key) for key in keys)
    return BitMap(number for number in numbers if number is not None and number < scale.size)
