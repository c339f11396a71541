"""The bodies of answers about freshness."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from hedgerow.freshness import Freshness
from hedgerow_scheduler.automation.freshness import Status
from hedgerow_scheduler.metadata.freshness import NotFresh

Stands: TypeAlias = Literal["unknown", "on_time", "warn", "late"]


class FreshnessSummary(msgspec.Struct, frozen=True):
    """How an asset with a policy stands: the worst of its partitions, of which so many are warned of and late, the first `since` then.
    `unknown`: nothing of it was ever made.
    """

    status: Stands
    warned: int
    late: int
    since: datetime | None


class FreshnessDetail(msgspec.Struct, frozen=True):
    """The same with the policy, the first partitions that are not on time, and when the asset is late next unless something is made of it:
    None when nothing was ever made, when no window follows, or when each of its keys has a time of its own.
    """

    policy: Freshness
    status: Stands
    warned: int
    late: int
    since: datetime | None
    deadline: datetime | None
    partitions: tuple[NotFresh, ...]


class LatePartition(msgspec.Struct, frozen=True):
    """A partition ("" without) that is warned of or late, since when, by which policy."""

    asset: str
    partition: str
    team: str
    status: Status
    since: datetime
    policy: Freshness | None


class FreshnessPage(msgspec.Struct, frozen=True):
    """Partitions by asset and key; `next` is the cursor of the next page."""

    items: tuple[LatePartition, ...]
    next: str | None
