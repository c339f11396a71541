"""Capacity: how many more orders the live workers of a code location can take now, and which manifests they serve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import msgspec

from hedgerow_scheduler.lifecycle.model import Worker

# Rolling deploys serve two or three at once; each costs a cycle of admission a look at every queue.
MAX_SERVED = 16

# Workers that are interchangeable, by the manifest that they serve and their queues, with how many slots each has.
Offer: TypeAlias = tuple[str, tuple[str, ...], int]


class LocationCapacity(msgspec.Struct, frozen=True):
    """What one code location's workers can take. `served` are the hashes of the accepted manifests that its ready workers serve,
    the newest first, MAX_SERVED at most; `by_queue` the slots of each queue (None: of all) with each of them.
    """

    served: tuple[str, ...] = ()
    by_queue: Mapping[tuple[str | None, str], int] = {}

    @property
    def manifest_hash(self) -> str | None:
        """The newest manifest served; None when no ready worker serves an accepted one."""
        return self.served[0] if self.served else None

    def slots(self, queue: str | None = None, manifest: str | None = None) -> int:
        """Slots that serve a queue (None: any queue) with the code of one manifest (None: the newest served)."""
        return self.by_queue.get((queue, manifest or self.manifest_hash or ""), 0)


def offers_of(workers: Iterable[Worker], now: datetime, lease: timedelta) -> tuple[Offer, ...]:
    """What the workers offer that are ready and were heard of within a lease. It is equal for as long as that stays so."""
    return tuple(
        (worker.manifest_hash, worker.queues, worker.slots)
        for worker in workers
        if worker.state == "ready" and now - worker.last_seen <= lease
    )


def capacity_of(offers: Sequence[Offer], accepted: Sequence[str]) -> LocationCapacity:
    """The capacity of one location. `accepted` are its manifests' hashes in the order in which they came into force."""
    theirs = {manifest for manifest, _, _ in offers}
    served = tuple(manifest for manifest in reversed(accepted) if manifest in theirs)[:MAX_SERVED]
    alike: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for manifest, queues, slots in offers:
        alike[manifest, queues] += slots
    by_queue: Counter[tuple[str | None, str]] = Counter()
    for (manifest, queues), slots in alike.items():
        if manifest in served:
            by_queue[None, manifest] += slots
            for queue in dict.fromkeys(queues):
                by_queue[queue, manifest] += slots
    return LocationCapacity(served, by_queue)
