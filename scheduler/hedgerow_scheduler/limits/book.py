"""The book: every limit that something needs, with its counters, found by its id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from hedgerow_scheduler.lifecycle.changes import BucketLevel
from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.limits import parking
from hedgerow_scheduler.limits.bucket import TokenBucket
from hedgerow_scheduler.limits.limit import RATES, Holding, Limit, LimitId, Values
from hedgerow_scheduler.limits.reservations import Reservations

if TYPE_CHECKING:
    from hedgerow_scheduler.limits.lines import Place


class LimitBook:
    """All limits. `values_of` says what a limit is set to now; a limit that it does not know lets everything out.

    Limits of runs and keys are forgotten by themselves once nothing waits for them or holds them.
    """

    def __init__(self, values_of: Callable[[LimitId], Values]) -> None:
        self.values_of = values_of
        self._limits: dict[LimitId, Limit] = {}
        self._passing: WeakValueDictionary[LimitId, Limit] = WeakValueDictionary()
        self._levels: dict[LimitId, tuple[float, datetime]] = {}
        self._freed: dict[Limit, None] = {}
        self._drawn: dict[Limit, None] = {}
        self._throttling: dict[Limit, None] = {}
        self._dirty: dict[Limit, None] = {}
        self.reservations = Reservations(self.look_again)

    def get(self, id: LimitId) -> Limit:
        """The limit of this id, taken up when it is first asked for."""
        limit = self.find(id)
        if limit is None:
            limit = Limit(id, self.values_of(id))
            if id[0] in ("run", "key"):
                self._passing[id] = limit
            else:
                self._limits[id] = limit
            self._restore(limit)
        return limit

    def find(self, id: LimitId) -> Limit | None:
        """The limit of this id if anything needs it."""
        return self._limits.get(id) or self._passing.get(id)

    def __iter__(self) -> Iterator[Limit]:
        return iter([*self._limits.values(), *self._passing.values()])

    def lasting(self) -> Iterator[Limit]:
        """Those of queues, pools and teams, which are never forgotten."""
        return iter(self._limits.values())

    def restore_levels(self, levels: Mapping[LimitId, tuple[float, datetime]]) -> None:
        """What PostgreSQL holds of token buckets, before any of them is used."""
        self._levels = dict(levels)
        for limit in self._limits.values():
            self._restore(limit)

    def _restore(self, limit: Limit) -> None:
        level = self._levels.get(limit.id)
        if level is not None and limit.values.rate is not None and limit.bucket is None:
            del self._levels[limit.id]
            limit.bucket = TokenBucket(limit.values.rate, limit.burst, level[0], level[1])

    def reset(self, now: datetime) -> list[Limit]:
        """Asks anew what every limit is set to; those that changed. Who waits for them is looked at again."""
        changed = [limit for limit in self if limit.set(self.values_of(limit.id), now)]
        for limit in changed:
            self._restore(limit)
            limit.first_refused = None
            self._freed[limit] = None
            if limit.dirty:
                self._dirty[limit] = None
            for group in limit.parked:  # very many are not woken at once: what they wait for is told right nevertheless
                group.tell(limit.refusal(1, now) or limit.full, now)
        return changed

    # -- taking and giving back --------------------------------------------------------------------------------------

    def take_token(self, limit: Limit, now: datetime) -> None:
        """One start under a limit that may have a rate."""
        if limit.values.rate is not None:
            limit.bucket_at(now).take(now)
            self._dirty[limit] = None

    def leave(self, holding: Holding) -> None:
        """An attempt of a holding has ended."""
        if holding.leave():
            for limit, _ in holding.needs:
                self.look_again(limit)

    def refused(self, limit: Limit) -> None:
        """Its rate has refused someone, who is parked on it."""
        self._throttling[limit] = None

    def look_again(self, limit: Limit) -> None:
        """Those that it refused may come again."""
        limit.first_refused = None
        if limit.parked:
            self._freed[limit] = None

    def release(self, now: datetime) -> dict[Place, list[Limit]]:
        """Has those looked at again who are parked on a limit which may let someone out now: few of them at once, for many the
        limits from which each place draws in this cycle.
        """
        for limit in list(self._throttling):
            if not limit.parked or limit.has_token(now):
                del self._throttling[limit]
                self._freed[limit] = None
        for limit in self._freed:
            if len(limit.parked) <= parking.FEW:
                for group in limit.parked:
                    group.hold_up(Cause.TURN, None, now)
            else:
                limit.parked.renew(limit)
                self._drawn[limit] = None
        self._freed.clear()
        sources: defaultdict[Place, list[Limit]] = defaultdict(list)
        for limit in self._drawn:
            for place in limit.parked.places():
                sources[place].append(limit)
        return sources

    def rest(self, now: datetime) -> None:
        """A cycle ends: of limits that let nobody out any more nothing is drawn before they let go of something."""
        for limit in list(self._drawn):
            cause = limit.refusal(1, now)
            if cause is None and limit.parked.has_filed():
                continue
            del self._drawn[limit]
            if cause in RATES and limit.parked:
                self._throttling[limit] = None

    def next_token(self, now: datetime) -> datetime | None:
        """When the first of the limits that refuse for their rate has a token again."""
        dues = [due for limit in self._throttling if (due := limit.bucket_at(now).due(now)) is not None]
        return min(dues, default=None)

    def levels(self) -> list[BucketLevel]:
        """The token buckets that were used since this was last asked."""
        found = [
            BucketLevel(*limit.id, limit.bucket.tokens, limit.bucket.at)
            for limit in self._dirty
            if limit.bucket is not None
        ]
        self._dirty.clear()
        return found
