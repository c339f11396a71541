"""Which partitions come to exist, or cease to, because keys were added to a set or removed from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from pyroaring import BitMap

from hedgerow_scheduler.automation.facts import Facts
from hedgerow_scheduler.partitions.spaces import Space


class KeyWatch:
    """The spaces with dynamic keys of the assets that someone asks about, and how far each has been looked at."""

    def __init__(self) -> None:
        self._watched: dict[int, tuple[Space, list[str], tuple[int, ...]]] = {}

    def watch(self, facts: Mapping[str, Facts]) -> None:
        """These are the assets from now on. What was watched before goes on from where it was."""
        former, self._watched = self._watched, {}
        for key, found in facts.items():
            space = found.space
            if not space.dynamic:
                continue
            known = self._watched.get(id(space))
            if known is None:
                before = former.get(id(space))
                known = self._watched[id(space)] = (space, [], before[2] if before else space.stages())
            known[1].append(key)

    def changes(self, now: datetime) -> Iterator[tuple[Sequence[str], BitMap, BitMap]]:
        """Assets, their partitions that came since the last time, and those that went."""
        for ident, (space, keys, seen) in self._watched.items():
            stages = space.stages()
            if stages != seen:
                self._watched[ident] = (space, keys, stages)
                yield (keys, *space.altered(seen, now))
