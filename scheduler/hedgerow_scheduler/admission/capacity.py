"""Capacity: how many more orders the live workers of a code location can take now, and which manifests they serve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from hedgerow_scheduler.lifecycle.model import Worker


class WorkerClass(msgspec.Struct, frozen=True):
    """Workers that are interchangeable: same location, manifest and queues; `slots` is what they have together."""

    manifest_hash: str
    queues: frozenset[str]
    slots: int


class LocationCapacity(msgspec.Struct, frozen=True):
    """What one code location's workers can take. `served` are the hashes of the accepted manifests that its ready workers serve,
    the newest first.
    """

    served: tuple[str, ...]
    classes: tuple[WorkerClass, ...]

    @property
    def manifest_hash(self) -> str | None:
        """The newest manifest served; None when no ready worker serves an accepted one."""
        return self.served[0] if self.served else None

    def slots(self, queue: str | None = None, manifest: str | None = None) -> int:
        """Slots that serve a queue (None: any queue) with the code of one manifest (None: the newest served)."""
        wanted = manifest or self.manifest_hash
        return sum(
            group.slots
            for group in self.classes
            if group.manifest_hash == wanted and (queue is None or queue in group.queues)
        )


def capacity_of(
    workers: Iterable[Worker], accepted: Sequence[str], now: datetime, lease: timedelta
) -> LocationCapacity:
    """The capacity of one location: its ready workers, heard of within a lease, that serve accepted manifests.

    `accepted` are the manifests' hashes in the order in which they came into force.
    """
    slots: Counter[tuple[str, frozenset[str]]] = Counter()
    for worker in workers:
        if worker.state == "ready" and now - worker.last_seen <= lease:
            slots[worker.manifest_hash, frozenset(worker.queues)] += worker.slots
    theirs = {manifest for manifest, _ in slots}
    served = tuple(manifest for manifest in reversed(accepted) if manifest in theirs)
    classes = [
        WorkerClass(manifest, queues, count) for (manifest, queues), count in slots.items() if manifest in served
    ]
    return LocationCapacity(served, tuple(sorted(classes, key=lambda one: (one.manifest_hash, sorted(one.queues)))))
