"""Freshness: how all assets with a policy stand, and what is other than before. Pure: news and the clock are told.

An asset is looked at when something of it was made or its next instant has come; nothing else costs anything.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import count, islice
from typing import Literal, NamedTuple, TypeAlias

from pyroaring import BitMap

from hedgerow.errors import RequestError
from hedgerow.freshness import Freshness
from hedgerow_scheduler.automation.aging import Frames, Made, Standing, made_of
from hedgerow_scheduler.automation.facts import EMPTY
from hedgerow_scheduler.partitions.spaces import Space, space_of
from hedgerow_scheduler.planning.catalog import Catalog, CatalogAsset

MOST_TOLD = 3_000  # partitions of one asset that one turn tells of
log = logging.getLogger("hedgerow.automation")
Status: TypeAlias = Literal["warn", "late"]
Turn: TypeAlias = Literal["warn", "late", "on_time", "gone"]


class Turned(NamedTuple):
    """A partition is another than before: ``warn``, ``late``, ``on_time`` again, or ``gone``: its window is judged no longer, or it has no policy.
    `before` is what it was, None for neither.
    """

    key: str
    team: str
    partition: str | None
    status: Turn
    before: Status | None = None


class Wanted(NamedTuple):
    """Of partitions by time: those that are judged now or will be, of those that are complete, and the first of all, by the part of its key
    at this position.
    """

    names: tuple[str, ...]
    position: int


class Told(NamedTuple):
    """What the last turns have told of an asset: the partitions warned of and late, by their numbers in `space`."""

    space: Space
    warned: BitMap
    late: BitMap


class Watched:
    """One asset with a policy; `due` is the earliest of its instants that are on the heap."""

    __slots__ = ("due", "key", "made", "policy", "space", "team")

    def __init__(self, key: str, team: str, policy: Freshness, space: Space) -> None:
        self.key, self.team, self.policy, self.space = key, team, policy, space
        self.made: Made = made_of(space)
        self.due: datetime | None = None


class FreshnessBoard:
    """All assets with a policy. `use`, `learn` and `make` tell what is so; `turn` says what is other than before. Of partitions that stood
    otherwise before a restart, `recall` tells how.
    """

    def __init__(self) -> None:
        self.watched: dict[str, Watched] = {}
        self._catalog = Catalog()
        self._told: dict[str, Told] = {}  # of assets of which something is warned of or late
        self._recalled: dict[str, dict[str, Status]] = {}
        self._gone: list[Turned] = []
        self._touched: dict[str, None] = {}
        self._unfinished: list[str] = []  # assets of which this turn does not tell all
        self._due: list[tuple[datetime, int, str]] = []
        self._tie = count()
        self._frames = Frames()

    def recall(self, rows: Iterable[tuple[str, str, Status]]) -> None:
        """How (asset, partition) pairs stood that were not fresh, as another leader has told it."""
        for key, partition, status in rows:
            self._recalled.setdefault(key, {})[partition] = status

    def stands(self, key: str) -> tuple[BitMap, BitMap]:
        """The partitions of an asset warned of and late, as was told last; not to be altered."""
        told = self._told.get(key)
        return (told.warned, told.late) if told is not None else (EMPTY, EMPTY)

    def counts(self) -> Iterable[tuple[str, bool, bool]]:
        """Of each asset that is not fresh: its team, whether something is warned of, and whether something is late."""
        for key, told in self._told.items():
            if (watched := self.watched.get(key)) is not None:
                yield watched.team, bool(told.warned), bool(told.late)

    # -- what is declared --------------------------------------------------------------------------------------------

    def use(self, catalog: Catalog) -> list[str]:
        """Another catalog is in force; returns the keys of the assets that are to be learnt before they count again."""
        former, self._catalog = self._catalog, catalog
        self._frames = Frames()
        unknown = []
        for key, asset in catalog.assets.items():
            if former.assets.get(key) is asset:
                continue
            known = self.watched.get(key)
            if not is_watched(asset):
                self._drop(key, asset.team)
            elif known is not None and _is_same(known, asset):
                known.team = asset.team
            else:
                self.watched.pop(key, None)
                unknown.append(key)
        for key in former.assets.keys() - catalog.assets.keys():
            self._drop(key, former.assets[key].team)
        for key in [key for key in self._recalled if not self._has_policy(key)]:
            self._gone += [Turned(key, "", partition or None, "gone") for partition in self._recalled.pop(key)]
        return unknown

    def _has_policy(self, key: str) -> bool:
        asset = self._catalog.assets.get(key)
        return asset is not None and is_watched(asset)

    def learn(self, key: str, made: Iterable[tuple[str, datetime]]) -> None:
        """What is current of an asset, as partitions with the times at which they were made, the earliest first."""
        if not self._has_policy(key):
            return
        asset = self._catalog.assets[key]
        policy = asset.definition.freshness
        assert policy is not None  # it has one
        space = space_of(asset.definition.partitions)
        watched = self.watched[key] = Watched(key, asset.team, policy, space)
        for partition, at in made:
            if (ordinal := space.ordinal(partition or None)) is not None:
                watched.made.make(ordinal, at)
        recalled = self._recalled.pop(key, {})
        told = self._told.get(key)
        if told is not None and told.space is not space:  # its numbers mean other partitions
            del self._told[key]
            recalled |= {told.space.key(each) or "": "warn" for each in told.warned}
            recalled |= {told.space.key(each) or "": "late" for each in told.late}
        if recalled:
            self._take_up(watched, recalled)
        self._touched[key] = None

    def _take_up(self, watched: Watched, recalled: dict[str, Status]) -> None:
        warned, late = BitMap(), BitMap()
        for partition, status in recalled.items():
            ordinal = watched.space.ordinal(partition or None)
            if ordinal is None:
                self._gone.append(Turned(watched.key, watched.team, partition or None, "gone"))
            else:
                (late if status == "late" else warned).add(ordinal)
        self._told[watched.key] = Told(watched.space, warned, late)

    def _drop(self, key: str, team: str) -> None:
        self.watched.pop(key, None)
        if (told := self._told.pop(key, None)) is not None:
            self._gone += [Turned(key, team, told.space.key(each), "gone") for each in told.warned | told.late]

    def wanted(self, key: str, now: datetime) -> Wanted | None:
        """Which partitions `learn` needs to know of: all, as None, unless they are partitions by time."""
        asset = self._catalog.assets.get(key)
        policy = asset.definition.freshness if asset is not None and is_watched(asset) else None
        if asset is None or policy is None:
            return Wanted((), 0)
        space = space_of(asset.definition.partitions)
        if not space.is_timed:
            return None
        names = (space.key(each) for each in self._frames.judged(policy, space, now))
        return Wanted(tuple(name for name in names if name is not None), space.time.position)

    # -- what happens ------------------------------------------------------------------------------------------------

    def make(self, key: str, partition: str | None, at: datetime) -> None:
        """A partition has a new current materialization. Of an asset that is still to be learnt, that will be learnt then."""
        watched = self.watched.get(key)
        ordinal = watched.space.ordinal(partition) if watched is not None else None
        if watched is not None and ordinal is not None:
            watched.made.make(ordinal, at)
            self._touched[key] = None

    def keys_changed(self) -> None:
        """Dynamic keys have come or gone."""
        self._frames = Frames()
        self._touched |= dict.fromkeys(key for key, watched in self.watched.items() if watched.space.dynamic)

    def next_due(self) -> datetime | None:
        """When time alone makes a turn due; None when never."""
        return self._due[0][0] if self._due else None

    def is_due(self, now: datetime) -> bool:
        """Whether a turn has something to do."""
        return bool(self._touched or self._gone or (self._due and self._due[0][0] <= now))

    def turn(self, now: datetime, is_over: Callable[[], bool] = lambda: False) -> list[Turned]:
        """What is other than before; of some assets only when `is_over` says so: the next turn goes on with the others."""
        turned, self._gone = self._gone, []
        while not is_over():
            if self._touched:
                watched = self.watched.get(self._touched.popitem()[0])
            elif self._due and self._due[0][0] <= now:
                due, _, key = heapq.heappop(self._due)
                watched = self.watched.get(key)
                if watched is None or watched.due != due:  # another instant stands for it
                    continue
                watched.due = None
            else:
                break
            if watched is None:
                continue
            try:
                turned += self._judge(watched, now)
            except Exception:  # a time zone that this machine does not know (any more): that asset's trouble alone
                log.exception("the freshness of %s can't be judged", watched.key)
                del self.watched[watched.key]
        self._touched |= dict.fromkeys(self._unfinished)
        self._unfinished.clear()
        return turned

    def _judge(self, watched: Watched, now: datetime) -> list[Turned]:
        after = watched.made.judge(self._frames, watched.policy, watched.space, now)
        if after.until is not None and (watched.due is None or after.until < watched.due):
            watched.due = after.until
            heapq.heappush(self._due, (after.until, next(self._tie), watched.key))
        if watched.space.dynamic:  # what was made of keys that are gone does not count
            existing = watched.space.existing(now)
            after = Standing(after.warned & existing, after.late & existing, after.until)
        warned, late = self.stands(watched.key)
        if after.warned == warned and after.late == late:
            return []
        turned_late, turned_warned, over = (
            after.late - late,
            after.warned - warned,
            (warned | late) - after.warned - after.late,
        )
        if len(turned_late) + len(turned_warned) + len(over) > MOST_TOLD:  # the next turn goes on with the others
            self._unfinished.append(watched.key)
            turned_late, turned_warned, over = (
                BitMap(islice(each, MOST_TOLD // 3)) for each in (turned_late, turned_warned, over)
            )
        told_warned = (warned | turned_warned) - turned_late - over
        told_late = (late | turned_late) - turned_warned - over
        if told_warned or told_late:
            self._told[watched.key] = Told(watched.space, told_warned, told_late)
        else:
            del self._told[watched.key]
        there = over & watched.space.existing(now) if over and watched.space.dynamic else over
        turned: list[tuple[int, Turn]] = [(each, "late") for each in turned_late]
        turned += [(each, "warn") for each in turned_warned]
        turned += [(each, "on_time" if each in there and watched.made.has(each) else "gone") for each in over]
        return [
            Turned(
                watched.key,
                watched.team,
                watched.space.key(each),
                status,
                "late" if each in late else "warn" if each in warned else None,
            )
            for each, status in sorted(turned)
        ]


def is_watched(asset: CatalogAsset) -> bool:
    """Whether an asset has a policy that can be kept: it is made here or can be observed, and its partitions can be told apart."""
    definition = asset.definition
    if definition.freshness is None or (asset.computation is None and definition.partitions is not None):
        return False
    try:
        space_of(definition.partitions)
    except RequestError:
        return False
    except Exception:  # a defect: of this asset alone
        log.exception("the freshness of %s can't be watched", asset.key)
        return False
    return True


def _is_same(known: Watched, asset: CatalogAsset) -> bool:
    definition = asset.definition
    return known.policy == definition.freshness and known.space is space_of(definition.partitions)
