"""Admission: which ready steps may start now. A step is granted iff every limit on it has room; nothing is held while it waits."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Computation
from hedgerow_scheduler.admission.capacity import LocationCapacity, capacity_of
from hedgerow_scheduler.lifecycle.model import Step, Worker
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.planning.backlog import QueueName, queue_of
from hedgerow_scheduler.planning.catalog import PublishedManifest
from hedgerow_scheduler.planning.snapshot import Snapshot

MAX_GRANTS = 256  # of one queue in one cycle

Place = tuple[str, str]  # (team, location)


class Grant(msgspec.Struct, frozen=True):
    """A step that may start, bound to the newest manifest served in its location that declares it."""

    step: Step
    manifest_hash: str
    computation: Computation


class Admission:
    """Grants steps of the backlog."""

    def __init__(self, lease: timedelta) -> None:
        self.lease = lease
        self._served: dict[Place, tuple[str, ...]] = {}

    def capacities(self, snapshot: Snapshot, now: datetime) -> dict[tuple[str, str], LocationCapacity]:
        """The capacity of every location that has workers."""
        groups: dict[tuple[str, str], list[Worker]] = defaultdict(list)
        for worker in snapshot.workers.values():
            groups[worker.team, worker.location].append(worker)
        accepted: dict[tuple[str, str], list[str]] = defaultdict(list)
        for manifest_hash, published in snapshot.accepted.items():
            accepted[home(published)].append(manifest_hash)
        return {place: capacity_of(workers, accepted[place], now, self.lease) for place, workers in groups.items()}

    def grant(self, snapshot: Snapshot, now: datetime) -> list[Grant]:
        """The steps to dispatch, best first per location. Steps whose definition has vanished fail here; a step of which an asset
        partition is being made is parked until that one is free. Granted steps still have the state `ready`.
        """
        capacities = self.capacities(snapshot, now)
        for place, capacity in capacities.items():
            if self._served.get(place) != capacity.served:
                self._served[place] = capacity.served
                snapshot.backlog.code_changed(place)
        queues: dict[Place, list[QueueName]] = defaultdict(list)
        for queue in snapshot.backlog.queues():
            queues[queue[0], queue[1]].append(queue)
        out = _out(snapshot, capacities)
        grants: list[Grant] = []
        taken: set[tuple[str, str]] = set()
        for place, names in queues.items():
            there = capacities.get(place)
            if there is not None and there.served:
                room = _Room(snapshot, place, there, names, out[place])
                grants.extend(_from_location(snapshot, room, there.served, names, taken, now))
        return grants


class _Room:
    """How many more steps may go out to one location in this cycle: by its workers' slots, by a queue's, by a queue's own limit.

    Slots count per manifest, because an order goes only to workers that serve its manifest.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        place: Place,
        capacity: LocationCapacity,
        queues: Iterable[QueueName],
        out: Counter[tuple[QueueName, str]],
    ) -> None:
        self._served = capacity.served
        self._of_queue: dict[tuple[QueueName, str], int] = {}
        self._of_manifest: Counter[str] = Counter(
            {manifest: capacity.slots(None, manifest) for manifest in self._served}
        )
        self._of_limit: dict[QueueName, int] = {}
        held = {queue for queue, count in snapshot.held.items() if count and (queue[0], queue[1]) == place}
        for manifest in self._served:
            buffers = [0]
            for queue in held | set(queues):
                slots = capacity.slots(queue[2], manifest)
                buffers.append(snapshot.service_times[queue].buffer(slots))
                self._of_queue[queue, manifest] = slots + buffers[-1] - out[queue, manifest]
            # The largest buffer is shared: what one queue has sent ahead must not keep another queue from the next free slot.
            self._of_manifest[manifest] += max(buffers)
        for (_, manifest), count in out.items():
            self._of_manifest[manifest] -= count
        for queue in queues:
            limit = snapshot.catalog.queue(*queue).concurrency
            self._of_limit[queue] = MAX_GRANTS if limit is None else min(MAX_GRANTS, limit - snapshot.held[queue])

    def fits(self, queue: QueueName, manifest: str) -> bool:
        """Whether one more step of a queue may go out with this manifest."""
        return self._of_limit[queue] > 0 and self._of_queue[queue, manifest] > 0 and self._of_manifest[manifest] > 0

    def is_open(self, queue: QueueName) -> bool:
        """Whether one more step of a queue may go out with any manifest."""
        return any(self.fits(queue, manifest) for manifest in self._served)

    def take(self, queue: QueueName, manifest: str) -> None:
        """One more step goes out."""
        self._of_limit[queue] -= 1
        self._of_queue[queue, manifest] -= 1
        self._of_manifest[manifest] -= 1


def _out(
    snapshot: Snapshot, capacities: dict[Place, LocationCapacity]
) -> defaultdict[Place, Counter[tuple[QueueName, str]]]:
    """How many steps are out, by location, by queue and manifest. Where one manifest is served, all count as its own; only where
    there are several are the attempts looked at, each for its own.
    """
    found: defaultdict[Place, Counter[tuple[QueueName, str]]] = defaultdict(Counter)
    several = {place for place, capacity in capacities.items() if len(capacity.served) > 1}
    for queue, count in snapshot.held.items():
        capacity = capacities.get((queue[0], queue[1]))
        if capacity is not None and len(capacity.served) == 1:
            found[queue[0], queue[1]][queue, capacity.served[0]] = count
    for attempt in snapshot.live_attempts() if several else ():
        queue = queue_of(attempt.step)
        if (queue[0], queue[1]) in several:
            found[queue[0], queue[1]][queue, attempt.manifest_hash] += 1
    return found


def _from_location(
    snapshot: Snapshot,
    room: _Room,
    served: Sequence[str],
    queues: Iterable[QueueName],
    taken: set[tuple[str, str]],
    now: datetime,
) -> list[Grant]:
    """The best step of all queues that have room, again and again: the queues share the workers, so they share the order too."""
    backlog = snapshot.backlog
    heads = [
        (rank, queue) for queue in queues if room.is_open(queue) and (rank := backlog.peek_rank(queue)) is not None
    ]
    heapq.heapify(heads)
    grants: list[Grant] = []
    aside: Counter[QueueName] = Counter()
    later: list[Step] = []  # ready, but the manifest that they need has no room while another has
    while heads:
        queue = heads[0][1]
        step = backlog.take(queue)
        manifest = _bind(snapshot, served, step, now) if step is not None else None
        if step is not None and manifest is not None:
            if not room.fits(queue, manifest.hash):
                later.append(step)
                aside[queue] += 1
            elif _is_free(snapshot, manifest, step, taken):
                room.take(queue, manifest.hash)
                taken.update(step.locks())
                grants.append(Grant(step, manifest.hash, manifest.computations[step.computation]))
        rank = backlog.peek_rank(queue)
        if rank is None or aside[queue] >= MAX_GRANTS or not room.is_open(queue):
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (rank, queue))
    for step in later:
        backlog.add(step)
    return grants


def _bind(snapshot: Snapshot, served: Sequence[str], step: Step, now: datetime) -> PublishedManifest | None:
    """The newest served manifest that declares the step. Without one the step waits for workers that serve the manifest in force,
    or fails when that does not declare it either.
    """
    for manifest_hash in served:
        if _declares(manifest := snapshot.accepted[manifest_hash], step):
            return manifest
    in_force = snapshot.catalog.published.get((step.team, step.location))
    if in_force is not None and _declares(in_force, step):
        snapshot.backlog.park_on_code(step)
    else:
        snapshot.move(step, StepState.FAILED, now, _vanished(step))
    return None


def _declares(published: PublishedManifest, step: Step) -> bool:
    computation = published.computations.get(step.computation)
    return computation is not None and set(step.assets) <= set(computation.assets)


def _is_free(snapshot: Snapshot, manifest: PublishedManifest, step: Step, taken: set[tuple[str, str]]) -> bool:
    """Whether nothing blocks the step; it is parked on what does."""
    unresolved = snapshot.catalog.unresolved(manifest.computations[step.computation])
    if unresolved:
        snapshot.backlog.park_on_asset(step, unresolved[0])
        return False
    blocking = next((lock for lock in step.locks() if lock in snapshot.locks or lock in taken), None)
    if blocking is not None:
        snapshot.backlog.park_on_lock(step, blocking)
        return False
    return True


def home(published: PublishedManifest) -> tuple[str, str]:
    """The (team, location) of a manifest."""
    return (published.manifest.team, published.manifest.location)


def _vanished(step: Step) -> Problem:
    return Problem(
        "HR-Q012",
        f"The code of team '{step.team}' no longer declares {', '.join(step.assets)}, which this step is to make.",
        "Deploy code that declares it and retry the run, or start a new run.",
    )
