"""Which partitions come to exist, and which come into or leave the windows that conditions look at, because time goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

import msgspec
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


class _Watched(msgspec.Struct):
    """A space, the assets with it, and how many of them are looked at how far back (milliseconds)."""

    space: Space
    keys: dict[str, None] = msgspec.field(default_factory=dict)
    backs: Counter[int] = msgspec.field(default_factory=Counter)


class WindowWatch:
    """The spaces with windows of the assets that someone asks about. Each has one instant at which it is looked at next."""

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}
        self._assets: dict[str, tuple[Space, frozenset[int]]] = {}
        self._awaited: dict[int, datetime] = {}

    def watch(
        self,
        touched: Iterable[str],
        facts: Mapping[str, Facts],
        lookbacks: Callable[[str], Iterable[int | None]],
        now: datetime,
    ) -> list[tuple[datetime, Space]]:
        """Of the assets `touched`, those that have facts are watched from now on; `lookbacks` says how far back whoever asks about one looks.
        Returns when to look at which space.
        """
        altered: dict[int, Space] = {}
        for key in touched:
            found, known = facts.get(key), self._assets.pop(key, None)
            if known is not None:
                watched = self._watched[id(known[0])]
                del watched.keys[key]
                watched.backs.subtract(known[1])
                altered[id(known[0])] = known[0]
            if found is not None and found.space.is_timed:
                space, backs = found.space, frozenset(each for each in lookbacks(key) if each is not None)
                self._assets[key] = (space, backs)
                watched = self._watched.setdefault(id(space), _Watched(space))
                watched.keys[key] = None
                watched.backs.update(backs)
                altered[id(space)] = space
        for ident in altered:
            if not self._watched[ident].keys:
                del self._watched[ident]
        dues = ((self._due(space, now), space) for space in altered.values())
        sooner = [(due, space) for due, space in dues if due is not None and self._is_sooner(space, due)]
        self._awaited |= {id(space): due for due, space in sooner}
        return sooner

    def keys_of(self, space: Space) -> list[str]:
        """The watched assets with this space."""
        return list(self._watched[id(space)].keys) if id(space) in self._watched else []

    def is_awaited(self, space: Space, due: datetime) -> bool:
        """Whether a space is to be looked at then, and not at a sooner instant that was found since."""
        return self._awaited.get(id(space)) == due

    def look_again(self, space: Space, now: datetime) -> datetime | None:
        """When a space is to be looked at next: a window is complete then, or has just left a period; None when it is watched no more."""
        self._awaited.pop(id(space), None)
        if (due := self._due(space, now)) is not None:
            self._awaited[id(space)] = due
        return due

    def _is_sooner(self, space: Space, due: datetime) -> bool:
        awaited = self._awaited.get(id(space))
        return awaited is None or due < awaited

    def _due(self, space: Space, now: datetime) -> datetime | None:
        if (watched := self._watched.get(id(space))) is None:
            return None
        dues = [space.next_change(now)]
        for back in (timedelta(milliseconds=ms) for ms, count in watched.backs.items() if count > 0):
            if (end := space.next_change(now - back)) is not None:
                dues.append(end + back)
        return min((each for each in dues if each is not None), default=None)
