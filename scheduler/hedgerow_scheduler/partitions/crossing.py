"""Crossings: a dependency's mapping applied to sets of partitions, in both directions."""

from __future__ import annotations

from datetime import datetime, timedelta

from pyroaring import BitMap

from hedgerow.errors import Problem, RequestError
from hedgerow.partitions.model import (
    All,
    ByDim,
    Last,
    Mapping,
    Partitions,
    Same,
    TimePartitions,
    Window,
    dimensions,
)
from hedgerow.partitions.resolution import default_mapping, upstream_keys, validate_mapping
from hedgerow_scheduler.partitions.spaces import ONLY, space_of

EMPTY = BitMap()
LONGEST = {
    "hour": timedelta(hours=1),
    "day": timedelta(hours=26),
    "week": timedelta(days=8),
    "month": timedelta(days=32),
}


class Crossing:
    """The way from a downstream definition to an upstream one by a mapping (None: the default one); RequestError HR-Q104 when it does not fit.

    The meaning of mappings is that of `hedgerow.partitions.resolution.upstream_keys`.
    """

    def __init__(self, mapping: Mapping | None, downstream: Partitions | None, upstream: Partitions | None) -> None:
        if problem := validate_mapping(mapping, downstream, upstream):
            raise RequestError(Problem("HR-Q104", problem.message, problem.remedy))
        self._mapping = default_mapping(downstream, upstream) if mapping is None else mapping
        self._downstream, self._upstream = downstream, upstream
        self._below, self._above = space_of(downstream), space_of(upstream)
        self._is_same = upstream is not None and downstream == upstream and isinstance(self._mapping, Same)
        self._is_whole = upstream is None
        self._is_fixed = not _looks_at_now(self._mapping) and upstream is not None
        self._known: dict[int, BitMap] = {}

    def upstream(self, of: BitMap, now: datetime) -> BitMap:
        """Every upstream partition that any of these reads."""
        if self._is_same:
            return of
        if self._is_whole:
            return ONLY if of else EMPTY
        if isinstance(self._mapping, All):
            return self._above.existing(now) if of else EMPTY
        found = BitMap()
        for ordinal in of:
            found |= self._reads(ordinal, now)
        return found

    def downstream(self, of: BitMap, now: datetime) -> BitMap:
        """The downstream partitions that may read any of these, whether they exist yet or not; some may be among them that do not."""
        if self._is_same:
            return of
        if not of:
            return EMPTY
        if self._downstream is None:
            return ONLY
        candidates = self._candidates(of, now)
        return self.any(candidates, of, now)

    def any(self, scope: BitMap, holds: BitMap, now: datetime) -> BitMap:
        """Those of `scope` that read at least one of `holds`."""
        if self._is_same:
            return scope & holds
        if self._is_whole or isinstance(self._mapping, All):
            return scope if self.upstream(scope, now) & holds else EMPTY
        return BitMap(ordinal for ordinal in scope if self._reads(ordinal, now).intersect(holds))

    def all(self, scope: BitMap, holds: BitMap, now: datetime) -> BitMap:
        """Those of `scope` of which everything that they read is in `holds`; those that read nothing are among them."""
        if self._is_same:
            return scope & holds
        if self._is_whole or isinstance(self._mapping, All):
            return scope if self.upstream(scope, now) <= holds else EMPTY
        return BitMap(ordinal for ordinal in scope if self._reads(ordinal, now) <= holds)

    def _reads(self, ordinal: int, now: datetime) -> BitMap:
        """What one downstream partition reads."""
        known = self._known.get(ordinal)
        if known is None:
            keys = upstream_keys(self._mapping, self._downstream, self._upstream, self._below.key(ordinal), now)
            ordinals = (self._above.ordinal(key) for key in keys)
            known = BitMap(found for found in ordinals if found is not None)
            if self._is_fixed:
                self._known[ordinal] = known
        return known

    def _candidates(self, of: BitMap, now: datetime) -> BitMap:
        """The downstream partitions among which those that read any of `of` are: a stretch of time around them, else all that exist."""
        below, above = self._time(self._downstream), self._time(self._upstream)
        mapping = self._mapping
        if isinstance(mapping, ByDim):
            mapping = dict(mapping.pairs).get(above.dim, Same()) if above else mapping
        following = self._below.next_change(now)
        everything = self._below.existing(following) if following else self._below.existing(now)
        if below is None or above is None or not isinstance(mapping, Same | Window):
            return everything
        reach = max(-mapping.start, mapping.end, 0) + 1 if isinstance(mapping, Window) else 1
        margin = LONGEST[above.cadence] * reach + LONGEST[below.cadence]
        first, last = self._above.ends(of.min())[0], self._above.ends(of.max())[1]
        return self._below.between(first - margin, last + margin)

    def _time(self, partitions: Partitions | None) -> TimePartitions | None:
        dims = dimensions(partitions) if partitions is not None else ()
        return next((dim for dim in dims if isinstance(dim, TimePartitions)), None)


def _looks_at_now(mapping: Mapping) -> bool:
    if isinstance(mapping, ByDim):
        return True  # dimensions left out may be read whole
    return isinstance(mapping, All | Last)
