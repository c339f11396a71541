"""Which partitions come to exist, or cease to, because keys were added to a set or removed from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
from pyroaring import BitMap

from hedgerow_scheduler.automation.facts import Facts
from hedgerow_scheduler.partitions.spaces import Space


class _Watched(msgspec.Struct):
    """A space, the assets with it, and how far its sets had come when it was looked at."""

    space: Space
    seen: tuple[int, ...]
    keys: dict[str, None] = msgspec.field(default_factory=dict)


class KeyWatch:
    """The spaces with dynamic keys of the assets that someone asks about, and how far each has been looked at."""

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}
        self._assets: dict[str, Space] = {}

    def watch(self, touched: Iterable[str], facts: Mapping[str, Facts]) -> None:
        """Of the assets `touched`, those that have facts are watched from now on. What was watched before goes on from where it was."""
        left = []
        for key in touched:
            found, known = facts.get(key), self._assets.pop(key, None)
            if known is not None:
                del self._watched[id(known)].keys[key]
                left.append(known)
            if found is not None and found.space.dynamic:
                space = self._assets[key] = found.space
                if (watched := self._watched.get(id(space))) is None:
                    watched = self._watched[id(space)] = _Watched(space, space.stages())
                watched.keys[key] = None
        for space in left:
            if id(space) in self._watched and not self._watched[id(space)].keys:
                del self._watched[id(space)]

    def changes(self, now: datetime) -> Iterator[tuple[Sequence[str], BitMap, BitMap]]:
        """Assets, their partitions that came since the last time, and those that went."""
        for watched in self._watched.values():
            seen, stages = watched.seen, watched.space.stages()
            if stages != seen:
                watched.seen = stages
                yield (list(watched.keys), *watched.space.altered(seen, now))
