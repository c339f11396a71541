"""Which partitions come to exist, and which come into or leave the windows that conditions look at, because time goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from pyroaring import BitMap

from hedgerow_scheduler.automation.facts import EMPTY, Facts
from hedgerow_scheduler.partitions.spaces import Space


class Moved:
    """What is different of one space between two instants: `fresh` partitions have come to exist."""

    def __init__(self, space: Space, before: datetime, now: datetime) -> None:
        self.fresh = space.existing(now) - space.existing(before)
        self._space, self._before, self._now = space, before, now
        self._known: dict[int | None, BitMap] = {}

    def within(self, lookbacks: Iterable[int | None]) -> BitMap:
        """Those that are fresh, or have come into or left the windows that end within any of these periods (None: the last one)."""
        return BitMap.union(self.fresh, *(self._of(each) for each in lookbacks))

    def _of(self, lookback_ms: int | None) -> BitMap:
        known = self._known.get(lookback_ms)
        if known is None:
            back = None if lookback_ms is None else timedelta(milliseconds=lookback_ms)
            before, now = (self._space.latest(at, back) or EMPTY for at in (self._before, self._now))
            known = self._known[lookback_ms] = before ^ now
        return known


class WindowWatch:
    """The spaces with windows of the assets that someone asks about. Each has one instant at which it is looked at next."""

    def __init__(self) -> None:
        self._watched: dict[int, tuple[Space, list[str], set[timedelta]]] = {}
        self._awaited: set[int] = set()

    def watch(
        self, facts: Mapping[str, Facts], lookbacks: Callable[[str], Iterable[int | None]], now: datetime
    ) -> list[tuple[datetime, Space]]:
        """These are the assets from now on; `lookbacks` says how far back whoever asks about one looks. Returns when to look at which space."""
        self._watched = {}
        timed: dict[int, bool] = {}
        for key, found in facts.items():
            space = found.space
            if (changes := timed.get(id(space))) is None:
                changes = timed[id(space)] = space.latest(now, None) is not None
            if changes:
                _, keys, backs = self._watched.setdefault(id(space), (space, [], set()))
                keys.append(key)
                backs.update(timedelta(milliseconds=each) for each in lookbacks(key) if each is not None)
        fresh = [space for space, _, _ in self._watched.values() if id(space) not in self._awaited]
        return [(due, space) for space in fresh if (due := self.look_again(space, now)) is not None]

    def keys_of(self, space: Space) -> list[str]:
        """The watched assets with this space."""
        return self._watched[id(space)][1] if id(space) in self._watched else []

    def look_again(self, space: Space, now: datetime) -> datetime | None:
        """When a space is to be looked at next: a window is complete then, or has just left a period; None when it is watched no more."""
        self._awaited.discard(id(space))
        if id(space) not in self._watched:
            return None
        dues = [space.next_change(now)]
        for back in self._watched[id(space)][2]:
            if (end := space.next_change(now - back)) is not None:
                dues.append(end + back)
        due = min((each for each in dues if each is not None), default=None)
        if due is not None:
            self._awaited.add(id(space))
        return due
