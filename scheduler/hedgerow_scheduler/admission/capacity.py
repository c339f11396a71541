"""Capacity: how many more orders the live workers of a code location can take now, and which manifest they serve."""

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
    """What one code location's workers can take. `manifest_hash` is None when no ready worker serves an accepted manifest."""

    manifest_hash: str | None
    classes: tuple[WorkerClass, ...]

    def slots(self, queue: str | None = None) -> int:
        """Slots that serve a queue (None: any queue)."""
        return sum(group.slots for group in self.classes if queue is None or queue in group.queues)


def capacity_of(
    workers: Iterable[Worker], accepted: Sequence[str], now: datetime, lease: timedelta
) -> LocationCapacity:
    """The capacity of one location: its ready workers, heard of within a lease, that serve the newest manifest any of them serves.

    `accepted` are the manifests' hashes in the order in which they came into force.
    """
    slots: Counter[tuple[str, frozenset[str]]] = Counter()
    for worker in workers:
        if worker.state == "ready" and now - worker.last_seen <= lease:
            slots[worker.manifest_hash, frozenset(worker.queues)] += worker.slots
    served = {manifest for manifest, _ in slots}
    newest = next((manifest for manifest in reversed(accepted) if manifest in served), None)
    classes = (
        WorkerClass(manifest, queues, count) for (manifest, queues), count in slots.items() if manifest == newest
    )
    return LocationCapacity(newest, tuple(sorted(classes, key=lambda group: sorted(group.queues))))
