"""Tracks of a backfill: each computation with the partitions of it that are to be made, and the ways between them.

Partitions are kept as bitmaps, one for each state: whatever is asked of them takes a few operations, however many they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from pyroaring import BitMap

from hedgerow.errors import RequestError
from hedgerow.partitions.model import Dimension, DynamicPartitions, Mapping, Partitions, ProductPartitions
from hedgerow_scheduler.lifecycle.backfills import PartitionState as P
from hedgerow_scheduler.partitions.crossing import EMPTY, Crossing
from hedgerow_scheduler.partitions.spaces import Space, space_of
from hedgerow_scheduler.partitions.states import StateSets
from hedgerow_scheduler.planning.catalog import Catalog, looks_back


class Way(NamedTuple):
    """A dependency between two tracks: to the one above, or to the one below."""

    crossing: Crossing
    track: Track


class Track:
    """One computation in a backfill; at most `per_run` of its partitions are made by one run.

    `ready` are those to do of which everything is done that other tracks make. `came` is what ended and was not carried down yet:
    FAILED stands there for all that keeps others from being made.
    """

    def __init__(
        self,
        name: str,
        team: str,
        assets: tuple[str, ...],
        partitions: Partitions | None,
        per_run: int,
        sets: StateSets[P],
    ) -> None:
        self.name, self.team, self.assets, self.partitions, self.per_run = name, team, assets, partitions, per_run
        self.sets = sets
        self.space: Space = space_of(partitions)
        self.ready = BitMap()
        self.canary: BitMap | None = None  # None when all may be launched
        self.above: list[Way] = []
        self.below: list[Way] = []
        self.itself: list[Crossing] = []  # by way of which it is made from earlier partitions of its own
        self.came: dict[P, BitMap] = {}
        self.given_up = BitMap()  # what was to do and will not be done, since the last look
        self.forget()

    def bind(self, partitions: Partitions | None) -> bool:
        """Takes the same definition as the catalog has it, bound to the keys that there are now; False when it is another one."""
        if _unbound(partitions) != _unbound(self.partitions):
            return False
        self.partitions, self.space = partitions, space_of(partitions)
        return True

    def forget(self) -> None:
        """Nothing is to be carried down."""
        self.came = {state: BitMap() for state in (P.DONE, P.FAILED, P.SKIPPED)}

    def unmade(self) -> BitMap:
        """What the backfill is to make of it and has not made yet."""
        return self.sets.all() - self.sets[P.DONE]

    def free(self, which: BitMap, now: datetime) -> None:
        """Of these, those are ready now of which everything is done that other tracks make."""
        held = [crossing.any(which, above.unmade(), now) for crossing, above in self.above] if which else []
        self.ready |= which - BitMap.union(EMPTY, *held)

    def available(self) -> BitMap:
        """What may be launched, apart from what it needs of itself."""
        return self.ready if self.canary is None else self.ready & self.canary

    def may_grow(self) -> bool:
        """Whether what would be a small run now will be a larger one soon: some of it is out, and so is some of what it is made from."""
        return bool(self.sets[P.LAUNCHED]) and any(above.sets[P.LAUNCHED] for _, above in self.above)

    def first(self, most: int, now: datetime) -> BitMap:
        """The first `most` that may be launched together in one run. What is made from earlier ones of its own has these done, or
        beside it: the steps of a run wait for each other.
        """
        return self.without_need(self.available()[:most], self.unmade(), now)

    def without_need(self, which: BitMap, of: BitMap, now: datetime) -> BitMap:
        """Those of `which` that need nothing of the track's own partitions `of` but what is beside them."""
        while which and self.itself:
            held = BitMap.union(EMPTY, *(crossing.any(which, of - which, now) for crossing in self.itself))
            if not held:
                break
            which = which - held
        return which


class Chunk(NamedTuple):
    """Partitions of one track to be launched in one run."""

    track: Track
    which: BitMap

    def partitions(self) -> tuple[str | None, ...]:
        """Their keys."""
        return tuple(map(self.track.space.key, self.which))


def _unbound(partitions: Partitions | None) -> Partitions | None:
    """A definition without the keys of its dynamic dimensions, as a manifest has it and a backfill is stored with it."""
    if isinstance(partitions, ProductPartitions):
        return ProductPartitions(tuple(map(_unbound_dim, partitions.dims)))
    return None if partitions is None else _unbound_dim(partitions)


def _unbound_dim(dim: Dimension) -> Dimension:
    return DynamicPartitions(dim.name, dim.dim) if isinstance(dim, DynamicPartitions) else dim


def connect(tracks: Sequence[Track], catalog: Catalog) -> Iterator[tuple[Track, str]]:
    """Finds the ways between tracks, which come in dependency order. Yields those that can't be made as the catalog has them, and why."""
    makers = {key: track for track in tracks for key in track.assets}
    broken: set[Track] = set()
    crossings: dict[tuple[object, Space, Space], Crossing] = {}

    def crossing(mapping: Mapping | None, below: Track, above: Track) -> Crossing:
        """One for all that read the same partitions in the same way."""
        alike = (mapping, below.space, above.space)
        if alike not in crossings:
            crossings[alike] = Crossing(mapping, below.partitions, above.partitions)
        return crossings[alike]

    for track in tracks:
        track.above, track.below, track.itself = [], [], []
    for track in tracks:
        why = _misfit(track, catalog, makers, broken, crossing)
        if why is not None:
            broken.add(track)
            yield track, why


def _misfit(
    track: Track,
    catalog: Catalog,
    makers: dict[str, Track],
    broken: set[Track],
    crossing: Callable[[Mapping | None, Track, Track], Crossing],
) -> str | None:
    """Connects a track with those above it; why it can't be made any more, if so."""
    declared = catalog.computations.get(track.name)
    if declared is None:
        return "is not declared any more"
    if not track.bind(declared.partitions):
        return "has other partitions now"
    for dep in declared.deps:
        above = makers.get(dep.key)
        if above is None or (above is track and not looks_back(dep)):
            continue
        if above in broken:
            return f"is made from '{dep.key}', which can't be made"
        try:
            way = crossing(dep.mapping, track, above)
        except RequestError as error:
            return f"can't be made from '{dep.key}': {error.problems[0].message}"
        if above is track:
            track.itself.append(way)
        else:
            track.above.append(Way(way, above))
            above.below.append(Way(way, track))
    return None
