"""A limit: how many steps it lets out at once and how often, what is taken of it, and by whom."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.limits.bucket import TokenBucket
from hedgerow_scheduler.limits.fairness import FairShares
from hedgerow_scheduler.limits.parking import Parking

LimitKind: TypeAlias = Literal["queue", "pool", "team", "run", "key"]
# Names: "team/queue" or "team/location/queue"; a pool of the platform "pool", a team's own "team/pool"; "team"; a run's id;
# "team/limit=value".
LimitId: TypeAlias = tuple[LimitKind, str]

_FULL: dict[str, Cause] = {
    "queue": Cause.QUEUE_CONCURRENCY,
    "pool": Cause.POOL_SLOTS,
    "team": Cause.TEAM_SLOTS,
    "run": Cause.RUN_CONCURRENCY,
    "key": Cause.KEY_CONCURRENCY,
}
_TOO_OFTEN: dict[str, Cause] = {"queue": Cause.QUEUE_RATE, "pool": Cause.POOL_RATE}
RATES = frozenset(_TOO_OFTEN.values())


class Values(msgspec.Struct, frozen=True):
    """What a limit is set to. None means without that limit; `rate` is starts per second, `burst` how many at once after a pause.

    `weight` and `minimum` are of teams: the part of contended pools, and the slots of each pool that the team gets before others.
    """

    concurrency: int | None = None
    rate: float | None = None
    burst: float | None = None
    paused: bool = False
    weight: float = 1.0
    minimum: int = 0


NO_LIMIT = Values()


class Limit:
    """One limit with its counters. `used` counts slots of holdings that are out, `by_sharer` the same for each that shares it.

    `parked` are the groups of the backlog that wait for this limit.
    """

    __slots__ = ("__weakref__", "bucket", "by_sharer", "dirty", "fair", "first_refused", "id", "last_served", "not_kept_before", "parked", "reserved_for", "throttled_s",
                 "throttled_since", "used", "values")  # fmt: skip

    def __init__(self, id: LimitId, values: Values = NO_LIMIT) -> None:
        self.id = id
        self.values = values
        self.used = 0
        self.by_sharer: Counter[str] = Counter()
        self.fair: FairShares[str] = FairShares()
        self.last_served: dict[str, datetime] = {}  # by sharer
        self.bucket: TokenBucket | None = None
        self.dirty = False  # the bucket's rate has changed
        self.parked = Parking()
        self.reserved_for: Any = None  # a group that waited too long for many slots, which are kept for it
        self.first_refused: str | None = None  # whose turn it was when too few slots were free, since any was let go of
        self.not_kept_before: dict[str, datetime] = {}  # by sharer for which slots were kept to no purpose
        self.throttled_since: datetime | None = None
        self.throttled_s = 0.0

    def __repr__(self) -> str:
        return f"<limit {self.id[0]} {self.id[1]} {self.used}/{self.values.concurrency}>"

    @property
    def burst(self) -> float:
        """How many starts at once, at least one."""
        return max(1.0, self.values.burst or 1.0)

    @property
    def is_shared(self) -> bool:
        """Whether several may compete for its slots or tokens, so that turns must be taken."""
        return self.values.concurrency is not None or self.values.rate is not None

    @property
    def full(self) -> Cause:
        """What those wait for that find too few of its slots free."""
        return _FULL[self.id[0]]

    @property
    def is_between_teams(self) -> bool:
        """Whether teams share it, by their weights; else the locations of one team do."""
        return self.id[0] == "pool" and "/" not in self.id[1]

    def refusal(self, slots: int, now: datetime) -> Cause | None:
        """Why it does not let out a holding of so many slots; None when it does."""
        values = self.values
        if values.paused:
            return Cause.PAUSED
        if values.concurrency is not None and self.used + slots > values.concurrency:
            return self.full
        if values.rate is not None and not self.bucket_at(now).has(now):
            return _TOO_OFTEN[self.id[0]]
        return None

    def free_for(self, group: Any) -> float:
        """How many slots a group may find free: those that are kept for another are not."""
        if self.values.concurrency is None:
            return float("inf")
        kept = 0 if self.reserved_for in (None, group) else self.reserved_for.slots_of(self)
        return self.values.concurrency - self.used - kept

    def has_token(self, now: datetime) -> bool:
        """Whether its rate allows one start more."""
        return self.values.rate is None or self.bucket_at(now).has(now)

    def bucket_at(self, now: datetime) -> TokenBucket:
        """Its token bucket, full if it was never used."""
        if self.bucket is None:
            self.bucket = TokenBucket(self.values.rate or 0.0, self.burst, self.burst, now)
        return self.bucket

    def give_token_back(self) -> None:
        """The start, of this very cycle, comes to nothing."""
        if self.values.rate is not None and self.bucket is not None:
            self.bucket.give_back()

    def set(self, values: Values, now: datetime) -> bool:
        """Sets it to other values; whether anything changed. What is out stays out: lowering drains."""
        if values == self.values:
            return False
        if self.bucket is not None and values.rate is not None:
            self.bucket.change(values.rate, max(1.0, values.burst or 1.0), now)
            self.dirty = True
        self.values = values
        return True

    def throttles(self, on: bool, now: datetime) -> None:
        """Notes since when, and for how long in all, some ready step waits for it."""
        if self.throttled_since is not None:
            self.throttled_s += max(0.0, (now - self.throttled_since).total_seconds())
        self.throttled_since = now if on else None


Need: TypeAlias = tuple[Limit, int]  # a limit and how many of its slots


class Holding:
    """The slots that the orders of one batch hold together: taken once, given back when the last of its attempts has ended.

    `sharers` names, for each need, who is charged. `batch` is the dispatch number of its first attempt.
    """

    __slots__ = ("attempts", "batch", "needs", "sharers")

    def __init__(self, needs: tuple[Need, ...], sharers: tuple[str, ...], batch: int = 0) -> None:
        self.needs, self.sharers, self.batch = needs, sharers, batch
        self.attempts = 1
        for (limit, slots), sharer in zip(needs, sharers, strict=True):
            limit.used += slots
            limit.by_sharer[sharer] += slots

    def add(self, need: Need, sharer: str) -> None:
        """A limit that was put on it while it is out."""
        self.needs, self.sharers = (*self.needs, need), (*self.sharers, sharer)
        need[0].used += need[1]
        need[0].by_sharer[sharer] += need[1]

    def leave(self) -> bool:
        """One of its attempts has ended; whether it was the last, so that the slots are free again."""
        self.attempts -= 1
        if self.attempts:
            return False
        for (limit, slots), sharer in zip(self.needs, self.sharers, strict=True):
            limit.used -= slots
            left = limit.by_sharer[sharer] - slots
            if left:
                limit.by_sharer[sharer] = left
            else:
                del limit.by_sharer[sharer]
        return True
