"""Freshness: which partitions are warned of and which are late, by what was made when. Pure: news and the clock are told.

============  ====================================================  =====================================================
policy        without a dimension of time: of each partition        by time: of the windows that are judged, all that is
============  ====================================================  =====================================================
within        late: made longer ago than that                       late: of the last windows that were complete so long
                                                                    ago, what is not there
by            late: not made within `since` before the last tick    late: of the last windows that were complete at the
                                                                    last tick, what is not there
============  ====================================================  =====================================================

Warnings are the same with their own period, or so long before the next tick. An asset of which nothing was ever made is neither
late nor warned of. An asset is looked at when something of it was made or its next instant has come; nothing else costs anything.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Set
from datetime import datetime, timedelta
from itertools import count
from typing import Literal, NamedTuple, TypeAlias

from pyroaring import BitMap

from hedgerow.cron import last_tick, next_tick
from hedgerow.freshness import FreshBy, Freshness, FreshWithin
from hedgerow_scheduler.automation.facts import EMPTY
from hedgerow_scheduler.partitions.spaces import Space, space_of
from hedgerow_scheduler.planning.catalog import Catalog

Status: TypeAlias = Literal["warn", "late", "fresh", "gone"]


class Turned(NamedTuple):
    """A partition is another than before: ``warn``, ``late``, ``fresh`` again, or ``gone`` (another window is judged now, or it is none any more)."""

    key: str
    team: str
    partition: str | None
    status: Status


class Standing(NamedTuple):
    """The partitions warned of and late, and when that may be different although nothing is made."""

    warned: BitMap
    late: BitMap
    until: datetime | None


NOTHING = Standing(EMPTY, EMPTY, None)


class Watched:
    """One asset with a policy. `made` has the times of what is current where age counts, `there` what is current where windows do."""

    __slots__ = ("due", "is_timed", "key", "made", "policy", "space", "standing", "team", "there")

    def __init__(self, key: str, team: str, policy: Freshness, space: Space, now: datetime) -> None:
        self.key, self.team, self.policy, self.space = key, team, policy, space
        self.is_timed = space.latest(now, None) is not None
        self.made: dict[int, datetime] = {}
        self.there = BitMap()
        self.standing = NOTHING
        self.due: list[tuple[datetime, int]] = []  # when a partition's age may count, earliest first

    def make(self, ordinal: int, at: datetime) -> None:
        """The partition has a new current materialization."""
        if self.is_timed:
            self.there.add(ordinal)
            return
        self.made[ordinal] = at
        if isinstance(self.policy, FreshWithin):
            for period in (self.policy.within_ms, self.policy.warn_ms):
                if period is not None:
                    heapq.heappush(self.due, (at + _ms(period), ordinal))

    def judge(self, now: datetime) -> Standing:
        """How it stands now."""
        if not (self.there or self.made):
            return NOTHING
        policy = self.policy
        if isinstance(policy, FreshBy):
            found = self._by_windows(policy, now) if self.is_timed else self._by_ages(policy, now)
        elif self.is_timed:
            found = self._within_windows(policy, now)
        else:
            found = self._within_ages(policy, now)
        existing = self.space.existing(now)
        return Standing(found.warned & existing, found.late & existing, found.until)

    def _missing(self, at: datetime) -> BitMap:
        """What is not there of the windows that were the last complete ones at a time."""
        return (self.space.latest(at, None) or EMPTY) - self.there

    def _within_windows(self, policy: FreshWithin, now: datetime) -> Standing:
        periods = [_ms(policy.within_ms)] + ([_ms(policy.warn_ms)] if policy.warn_ms is not None else [])
        found = [self._missing(now - period) for period in periods]
        changes = [
            change + period for period in periods if (change := self.space.next_change(now - period)) is not None
        ]
        warned = found[1] - found[0] if len(found) == 2 else EMPTY
        return Standing(warned, found[0], min(changes, default=None))

    def _within_ages(self, policy: FreshWithin, now: datetime) -> Standing:
        warned, late = BitMap(self.standing.warned), BitMap(self.standing.late)
        for ordinal in [each for each in warned | late if not self._is_over(each, policy.warn_ms, now)]:
            warned.discard(ordinal)
            late.discard(ordinal)
        while self.due and self.due[0][0] <= now:
            ordinal = heapq.heappop(self.due)[1]
            if self._is_over(ordinal, policy.within_ms, now):
                late.add(ordinal)
            elif self._is_over(ordinal, policy.warn_ms, now):
                warned.add(ordinal)
        return Standing(warned - late, late, self.due[0][0] if self.due else None)

    def _is_over(self, ordinal: int, period_ms: int | None, now: datetime) -> bool:
        if period_ms is None:
            period_ms = self.policy.within_ms if isinstance(self.policy, FreshWithin) else 0
        return ordinal in self.made and self.made[ordinal] + _ms(period_ms) <= now

    def _by_windows(self, policy: FreshBy, now: datetime) -> Standing:
        following, warns = self._following(policy, now)
        late = self._missing(last_tick(policy.cron, now))
        warned = self._missing(now) - late if now >= warns else EMPTY
        changes = [following if now >= warns else warns]
        if now >= warns and (change := self.space.next_change(now)) is not None:
            changes.append(change)
        return Standing(warned, late, min(changes))

    def _by_ages(self, policy: FreshBy, now: datetime) -> Standing:
        following, warns = self._following(policy, now)
        since = _ms(policy.since_ms)
        late = BitMap(each for each, at in self.made.items() if at < last_tick(policy.cron, now) - since)
        warned = (
            BitMap(each for each, at in self.made.items() if at < following - since) - late if now >= warns else EMPTY
        )
        return Standing(warned, late, following if now >= warns else warns)

    def _following(self, policy: FreshBy, now: datetime) -> tuple[datetime, datetime]:
        """The next tick, and when warnings of it begin."""
        following = next_tick(policy.cron, now)
        return following, following if policy.warn_ms is None else following - _ms(policy.warn_ms)


class FreshnessBoard:
    """All assets with a policy. `use`, `know` and `make` tell what is so; `turn` says what is other than before. Of partitions that stood
    otherwise before a restart, `recall` tells how.
    """

    def __init__(self) -> None:
        self.watched: dict[str, Watched] = {}
        self._catalog = Catalog()
        self._told: dict[str, tuple[BitMap, BitMap]] = {}  # warned and late, as the last turns have told
        self._recalled: dict[str, dict[str, Status]] = {}
        self._gone: list[Turned] = []
        self._touched: dict[str, None] = {}
        self._due: list[tuple[datetime, int, str]] = []
        self._tie = count()

    def recall(self, rows: Iterable[tuple[str, str, Status]]) -> None:
        """How (asset, partition) pairs stood that were not fresh, as another leader has told it."""
        for key, partition, status in rows:
            self._recalled.setdefault(key, {})[partition] = status

    def use(self, catalog: Catalog, now: datetime) -> Set[str]:
        """Another catalog is in force; returns the keys of the assets of which is to be told what there is (`know`) before the next turn."""
        former, self._catalog = self._catalog, catalog
        unknown = set()
        for key, asset in catalog.assets.items():
            if former.assets.get(key) is asset:
                continue
            policy, known = asset.definition.freshness, self.watched.get(key)
            if policy is None or asset.computation is None:
                self._drop(key)
                continue
            space = space_of(asset.definition.partitions)
            if known is not None and known.policy == policy and known.space is space:
                known.team = asset.team
                continue
            if known is not None and known.space is not space:  # its numbers mean other partitions
                self._drop(key)
            self.watched[key] = Watched(key, asset.team, policy, space, now)
            unknown.add(key)
        for key in [key for key in self.watched if key not in catalog.assets]:
            self._drop(key)
        for key in [key for key in self._recalled if key not in self.watched]:
            self._gone += [Turned(key, "", partition or None, "gone") for partition in self._recalled.pop(key)]
        return unknown

    def know(self, key: str, made: Iterable[tuple[str, datetime]]) -> None:
        """What is current of an asset that was not known, as partitions with the times at which they were made."""
        watched = self.watched[key]
        for partition, at in made:
            if (ordinal := watched.space.ordinal(partition or None)) is not None:
                watched.make(ordinal, at)
        recalled = self._recalled.pop(key, {})
        warned, late = self._told.setdefault(key, (BitMap(), BitMap()))
        for partition, status in recalled.items():
            if (ordinal := watched.space.ordinal(partition or None)) is None:
                self._gone.append(Turned(key, watched.team, partition or None, "gone"))
            else:
                (late if status == "late" else warned).add(ordinal)
        self._touched[key] = None

    def make(self, key: str, partition: str | None, at: datetime) -> None:
        """A partition has a new current materialization."""
        watched = self.watched.get(key)
        ordinal = watched.space.ordinal(partition) if watched is not None else None
        if watched is not None and ordinal is not None:
            watched.make(ordinal, at)
            self._touched[key] = None

    def next_due(self) -> datetime | None:
        """When time alone makes a turn due; None when never."""
        return self._due[0][0] if self._due else None

    def is_due(self, now: datetime) -> bool:
        """Whether a turn has something to do."""
        return bool(self._touched or self._gone or (self._due and self._due[0][0] <= now))

    def turn(self, now: datetime) -> list[Turned]:
        """What is other than before."""
        while self._due and self._due[0][0] <= now:
            self._touched[heapq.heappop(self._due)[2]] = None
        turned, self._gone = self._gone, []
        touched, self._touched = self._touched, {}
        for key in touched:
            if (watched := self.watched.get(key)) is not None:
                turned += self._told_anew(watched, now)
        return turned

    def _told_anew(self, watched: Watched, now: datetime) -> list[Turned]:
        before, after = watched.standing, watched.judge(now)
        watched.standing = after
        if after.until is not None and (after.until != before.until or before.until is None or before.until <= now):
            heapq.heappush(self._due, (after.until, next(self._tie), watched.key))
        warned, late = self._told.get(watched.key, (EMPTY, EMPTY))
        if after.warned == warned and after.late == late:
            return []
        self._told[watched.key] = (BitMap(after.warned), BitMap(after.late))
        turned: list[tuple[int, Status]] = [(each, "late") for each in after.late - late]
        turned += [(each, "warn") for each in after.warned - warned]
        over = (warned | late) - after.warned - after.late
        there = watched.there if watched.is_timed else BitMap(watched.made)
        turned += [(each, "fresh" if each in there else "gone") for each in over]
        return [Turned(watched.key, watched.team, watched.space.key(each), status) for each, status in sorted(turned)]

    def _drop(self, key: str) -> None:
        watched = self.watched.pop(key, None)
        warned, late = self._told.pop(key, (EMPTY, EMPTY))
        if watched is not None:
            self._gone += [Turned(key, watched.team, watched.space.key(each), "gone") for each in warned | late]


def _ms(period: int) -> timedelta:
    return timedelta(milliseconds=period)
