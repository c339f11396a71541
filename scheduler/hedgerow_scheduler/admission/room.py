"""Room: how many more orders may go out to the workers of one location in a cycle, by manifest and by queue."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from hedgerow_scheduler.admission.capacity import LocationCapacity
from hedgerow_scheduler.limits.backlog import queue_of
from hedgerow_scheduler.limits.lines import Place, QueueName
from hedgerow_scheduler.planning.snapshot import Snapshot


class Room:
    """How many more steps may go out to one location in this cycle: by its workers' slots, and by a queue's.

    Slots count per manifest, because an order goes only to workers that serve its manifest.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        place: Place,
        capacity: LocationCapacity,
        queues: Iterable[QueueName],
        out: Counter[tuple[QueueName, str]],
        *,
        alone: bool = True,
    ) -> None:
        self.served = capacity.served
        self.slots: dict[tuple[QueueName, str], int] = {}
        self._of_queue: dict[tuple[QueueName, str], int] = {}
        self._of_manifest: Counter[str] = Counter(
            {manifest: capacity.slots(None, manifest) for manifest in self.served}
        )
        wanted = {queue for queue, count in snapshot.held.items() if count and queue[:2] == place}.union(queues)
        for manifest in self.served:
            buffers = [0]
            for queue in wanted:
                slots = self.slots[queue, manifest] = capacity.slots(queue[2], manifest)
                buffers.append(snapshot.service_times[queue].buffer(slots, alone=alone))
                self._of_queue[queue, manifest] = slots + buffers[-1] - out[queue, manifest]
            # The largest buffer is shared: what one queue has sent ahead must not keep another queue from the next free slot.
            self._of_manifest[manifest] += max(buffers)
        for (_, manifest), count in out.items():
            self._of_manifest[manifest] -= count

    def fits(self, queue: QueueName, manifest: str) -> bool:
        """Whether one more step of a queue may go out with this manifest."""
        return self._of_queue[queue, manifest] > 0 and self._of_manifest[manifest] > 0

    def is_open(self, queue: QueueName) -> bool:
        """Whether one more step of a queue may go out with any manifest."""
        return any(self.fits(queue, manifest) for manifest in self.served)

    def serves(self, queue: QueueName) -> bool:
        """Whether any worker serves the queue."""
        return any(self.slots[queue, manifest] for manifest in self.served)

    def take(self, queue: QueueName, manifest: str) -> None:
        """One more step goes out."""
        self._of_queue[queue, manifest] -= 1
        self._of_manifest[manifest] -= 1


def count_out(
    snapshot: Snapshot, capacities: Mapping[Place, LocationCapacity]
) -> defaultdict[Place, Counter[tuple[QueueName, str]]]:
    """How many steps are out, by location, by queue and manifest. Where one manifest is served, all count as its own; only where
    there are several are the attempts looked at, each for its own.
    """
    found: defaultdict[Place, Counter[tuple[QueueName, str]]] = defaultdict(Counter)
    several = {place for place, capacity in capacities.items() if len(capacity.served) > 1}
    for queue, count in snapshot.held.items():
        capacity = capacities.get(queue[:2])
        if capacity is not None and len(capacity.served) == 1:
            found[queue[:2]][queue, capacity.served[0]] = count
    for attempt in snapshot.live_attempts() if several else ():
        queue = queue_of(attempt.step)
        if queue[:2] in several:
            found[queue[:2]][queue, attempt.manifest_hash] += 1
    return found
