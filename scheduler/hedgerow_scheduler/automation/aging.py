"""Aging: which partitions of one asset its freshness policy warns of, and which are late by it. Pure: the clock is an argument.

============  ====================================================  =====================================================
policy        without a dimension of time: of each partition        by time: of the windows that are judged, all that is
============  ====================================================  =====================================================
within        late: made that long ago, or longer                   late: of the last window that was complete so long
                                                                    ago, what is not there
by            late: made before `since` before the last tick        late: of the last window that was complete before the
                                                                    last tick, what is not there
============  ====================================================  =====================================================

Warnings: `within`, the same with `warn` in its place, and of all windows that come after the one that is late; `by`, from `warn`
before the next tick on, what will be late then unless it is made. So of windows that were not made the last one is late, until the
one after it is due. What was never made is neither late nor warned of, nor are windows before the first that was ever made.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from pyroaring import BitMap

from hedgerow.cron import Cron, last_tick, next_tick
from hedgerow.freshness import FreshBy, Freshness
from hedgerow_scheduler.automation.facts import EMPTY
from hedgerow_scheduler.partitions.spaces import ONLY, Space

INSTANT = timedelta(microseconds=1)


class Standing(NamedTuple):
    """The partitions warned of and late, and when that may be different although nothing is made. Not to be altered."""

    warned: BitMap
    late: BitMap
    until: datetime | None


NOTHING = Standing(EMPTY, EMPTY, None)


class Bounds(NamedTuple):
    """Made before `late`: late; made before `warned`: warned of. The same until `until`, if there is one."""

    warned: datetime
    late: datetime
    until: datetime | None


class Frames:
    """What policies ask for at a time, worked out once for all assets that have the same one and the same windows."""

    def __init__(self) -> None:
        self._ticks: dict[Cron, tuple[datetime, datetime]] = {}
        self._windows: dict[tuple[Freshness, int], tuple[datetime, Space, Standing]] = {}

    def windows(self, policy: Freshness, space: Space, now: datetime) -> Standing:
        """The windows that are late or warned of unless they are there."""
        known = self._windows.get((policy, id(space)))
        if known is not None and known[0] <= now and (known[2].until is None or now < known[2].until):
            return known[2]
        found = (
            self._by(policy, space, now)
            if isinstance(policy, FreshBy)
            else _within(policy.within_ms, policy.warn_ms, space, now)
        )
        self._windows[policy, id(space)] = (now, space, found)
        return found

    def judged(self, policy: Freshness, space: Space, now: datetime) -> BitMap:
        """The windows that are judged now or will be, of those that are complete."""
        since = period(policy.within_ms) if not isinstance(policy, FreshBy) else now - self._tick(policy, now)[0]
        return (space.latest(now, since) or EMPTY) | self.windows(policy, space, now).late

    def bounds(self, policy: Freshness, now: datetime) -> Bounds:
        """The ages that are too old."""
        if isinstance(policy, FreshBy):
            last, following, warns = self._tick(policy, now)
            since = period(policy.since_ms)
            late = last - since
            return Bounds(following - since, late, following) if now >= warns else Bounds(late, late, warns)
        late = now - period(policy.within_ms) + INSTANT
        return Bounds(late if policy.warn_ms is None else now - period(policy.warn_ms) + INSTANT, late, None)

    def _by(self, policy: FreshBy, space: Space, now: datetime) -> Standing:
        last, following, warns = self._tick(policy, now)
        late = space.latest(last - INSTANT, None) or EMPTY
        if now < warns:
            return Standing(EMPTY, late, warns)
        due = (space.latest(following - INSTANT, None) or EMPTY) & space.existing(now)
        changes = [at for at in (following, space.next_change(now)) if at is not None]
        return Standing(due - late, late, min(changes))

    def _tick(self, policy: FreshBy, now: datetime) -> tuple[datetime, datetime, datetime]:
        """The last tick, the next one, and when warnings of it begin."""
        known = self._ticks.get(policy.cron)
        if known is None or not known[0] <= now < known[1]:
            known = self._ticks[policy.cron] = (last_tick(policy.cron, now), next_tick(policy.cron, now))
        last, following = known
        return last, following, following if policy.warn_ms is None else following - period(policy.warn_ms)


def _within(within_ms: int, warn_ms: int | None, space: Space, now: datetime) -> Standing:
    within = period(within_ms)
    warn = within if warn_ms is None else period(warn_ms)
    late = space.latest(now - within, None) or EMPTY
    warned = (space.latest(now - warn, within - warn) or EMPTY) - late if warn < within else EMPTY
    changes = [at + after for after in {warn, within} if (at := space.next_change(now - after)) is not None]
    return Standing(warned, late, min(changes, default=None))


class Windows:
    """Partitions by time: those that are there."""

    __slots__ = ("_first", "_window", "there")

    def __init__(self, window: Callable[[int], int]) -> None:
        self.there = BitMap()
        self._window = window
        self._first: int | None = None  # the earliest window of which something was made

    def make(self, ordinal: int, at: datetime) -> None:  # noqa: ARG002  # one signature for all
        """The partition is there."""
        self.there.add(ordinal)
        window = self._window(ordinal)
        self._first = window if self._first is None else min(self._first, window)

    def judge(self, frames: Frames, policy: Freshness, space: Space, now: datetime) -> Standing:
        """How they stand."""
        if self._first is None:
            return NOTHING
        asked = frames.windows(policy, space, now)
        warned, late = asked.warned - self.there, asked.late - self.there
        if space.dynamic:
            since = space.since_window(self._first, now)
            return Standing(warned & since, late & since, asked.until)
        first = self._first * space.time.step
        for missing in (warned, late):
            if missing and missing.min() < first:
                missing.remove_range(0, first)
        return Standing(warned, late, asked.until)

    def has(self, ordinal: int) -> bool:
        """Whether the partition was ever made."""
        return ordinal in self.there


class Ages:
    """Partitions without time: when each was made. Those that are not too old stand in order, so that only the oldest are looked at."""

    __slots__ = ("_fresh", "_late", "_warned", "_warning")

    def __init__(self) -> None:
        self._fresh: OrderedDict[int, datetime] = OrderedDict()
        self._warning: OrderedDict[int, datetime] = OrderedDict()
        self._warned, self._late = BitMap(), BitMap()

    def make(self, ordinal: int, at: datetime) -> None:
        """The partition was made then, mostly after all others."""
        _put(self._fresh, ordinal, at)
        if self._warning.pop(ordinal, None) is not None:
            self._warned.discard(ordinal)
        self._late.discard(ordinal)

    def judge(self, frames: Frames, policy: Freshness, space: Space, now: datetime) -> Standing:  # noqa: ARG002
        """How they stand."""
        if not (self._fresh or self._warning or self._late):
            return NOTHING
        bounds = frames.bounds(policy, now)
        while self._fresh and next(iter(self._fresh.values())) < bounds.warned:
            ordinal, at = self._fresh.popitem(last=False)
            _put(self._warning, ordinal, at)
            self._warned.add(ordinal)
        while self._warning and next(iter(self._warning.values())) < bounds.late:
            ordinal, _ = self._warning.popitem(last=False)
            self._warned.discard(ordinal)
            self._late.add(ordinal)
        oldest = (next(iter(line.values()), None) for line in (self._fresh, self._warning))
        until = bounds.until or next_of_ages(policy, *oldest)
        return Standing(BitMap(self._warned), BitMap(self._late), until)

    def has(self, ordinal: int) -> bool:
        """Whether the partition was ever made."""
        return ordinal in self._fresh or ordinal in self._warning or ordinal in self._late


def _put(line: OrderedDict[int, datetime], ordinal: int, at: datetime) -> None:
    """Into a line in order of time: what waited for its checks comes before what was made meanwhile."""
    line.pop(ordinal, None)
    later = []
    while line and line[next(reversed(line))] > at:
        later.append(line.popitem())
    line[ordinal] = at
    line.update(reversed(later))


class Lone:
    """An asset without partitions: when it was made."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: datetime | None = None

    def make(self, ordinal: int, at: datetime) -> None:  # noqa: ARG002  # one signature for all
        """It was made."""
        self._at = at

    def judge(self, frames: Frames, policy: Freshness, space: Space, now: datetime) -> Standing:  # noqa: ARG002
        """How it stands."""
        at = self._at
        if at is None:
            return NOTHING
        bounds = frames.bounds(policy, now)
        is_late, is_warned = at < bounds.late, at < bounds.warned
        until = bounds.until or next_of_ages(policy, None if is_warned else at, None if is_late else at)
        if is_late:
            return Standing(EMPTY, ONLY, until)
        return Standing(ONLY if is_warned else EMPTY, EMPTY, until)

    def has(self, ordinal: int) -> bool:  # noqa: ARG002  # one signature for all
        """Whether it was ever made."""
        return self._at is not None


Made: TypeAlias = Windows | Ages | Lone


def made_of(space: Space) -> Made:
    """Nothing made yet of an asset with these partitions."""
    if space.partitions is None:
        return Lone()
    return Windows(space.window) if space.is_timed else Ages()


def next_of_ages(policy: Freshness, fresh: datetime | None, warned: datetime | None) -> datetime | None:
    """When the first will be warned of or late, of what is fresh and what is warned of, each the oldest; None when age has no say in it."""
    if isinstance(policy, FreshBy):
        return None
    within = period(policy.within_ms)
    warn = within if policy.warn_ms is None else period(policy.warn_ms)
    dues = [at + after for at, after in ((fresh, warn), (warned, within)) if at is not None]
    return min(dues, default=None)


def deadline(policy: Freshness, space: Space, made_at: datetime | None, now: datetime) -> datetime | None:
    """When an asset that was `made_at` will be late next, unless something is made of it. None when never, or when each of its keys has a
    time of its own.
    """
    if made_at is None:
        return None
    if isinstance(policy, FreshBy):
        return next_tick(policy.cron, now)
    within = period(policy.within_ms)
    if space.partitions is None:
        return made_at + within
    change = space.next_change(now - within)
    return None if change is None else change + within


def period(ms: int) -> timedelta:
    """A period of whole milliseconds."""
    return timedelta(milliseconds=ms)
