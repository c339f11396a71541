"""Admission: which ready steps may start now. A step is granted iff every limit on it has room; nothing is held while it waits."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta

import msgspec

from hedgerow.errors import Problem
from hedgerow.manifest.model import Computation
from hedgerow_scheduler.admission.capacity import LocationCapacity, capacity_of
from hedgerow_scheduler.lifecycle.model import Step, Worker
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.planning.backlog import QueueName
from hedgerow_scheduler.planning.catalog import PublishedManifest
from hedgerow_scheduler.planning.snapshot import Snapshot

MAX_GRANTS = 256


class Grant(msgspec.Struct, frozen=True):
    """A step that may start, bound to the manifest that its location's workers serve."""

    step: Step
    manifest_hash: str
    computation: Computation


class Admission:
    """Grants steps of the backlog."""

    def __init__(self, lease: timedelta) -> None:
        self.lease = lease

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
        """The steps to dispatch, best first per queue. Steps whose definition has vanished fail here; a step of which an asset
        partition is being made is parked until that one is free. Granted steps still have the state `ready`.
        """
        capacities = self.capacities(snapshot, now)
        held_by_place: Counter[tuple[str, str]] = Counter()
        for (team, location, _), count in snapshot.held.items():
            held_by_place[team, location] += count
        grants: list[Grant] = []
        taken: set[tuple[str, str]] = set()
        for queue in snapshot.backlog.queues():
            place = (queue[0], queue[1])
            capacity = capacities.get(place)
            if capacity is None or capacity.manifest_hash is None:
                continue
            buffer = snapshot.service_times[queue].buffer(capacity.slots(queue[2]))
            room = self._room(snapshot, queue, capacity, held_by_place[place], buffer)
            manifest = snapshot.accepted[capacity.manifest_hash]
            granted = self._from_queue(snapshot, queue, manifest, min(room, MAX_GRANTS), taken, now)
            held_by_place[place] += len(granted)
            grants.extend(granted)
        return grants

    @staticmethod
    def _room(snapshot: Snapshot, queue: QueueName, capacity: LocationCapacity, held_by_place: int, buffer: int) -> int:
        """How many more steps of a queue may be out: by its workers' slots, by the location's, by the queue's own limit."""
        held = snapshot.held[queue]
        room = min(capacity.slots(queue[2]) + buffer - held, capacity.slots() + buffer - held_by_place)
        limit = snapshot.catalog.queue(*queue).concurrency
        return max(0, room if limit is None else min(room, limit - held))

    @staticmethod
    def _from_queue(
        snapshot: Snapshot,
        queue: QueueName,
        manifest: PublishedManifest,
        room: int,
        taken: set[tuple[str, str]],
        now: datetime,
    ) -> list[Grant]:
        grants: list[Grant] = []
        computations = manifest.computations
        while len(grants) < room:
            step = snapshot.backlog.take(queue)
            if step is None:
                break
            computation = computations.get(step.computation)
            if computation is None or not set(step.assets) <= set(computation.assets):
                snapshot.move(step, StepState.FAILED, now, _vanished(step))
                continue
            unresolved = snapshot.catalog.unresolved(computation)
            if unresolved:
                snapshot.backlog.park_on_asset(step, unresolved[0])
                continue
            locks = step.locks()
            blocking = next((lock for lock in locks if lock in snapshot.locks or lock in taken), None)
            if blocking is not None:
                snapshot.backlog.park_on_lock(step, blocking)
                continue
            taken.update(locks)
            grants.append(Grant(step, manifest.hash, computation))
        return grants


def home(published: PublishedManifest) -> tuple[str, str]:
    """The (team, location) of a manifest."""
    return (published.manifest.team, published.manifest.location)


def _vanished(step: Step) -> Problem:
    return Problem(
        "HR-Q012",
        f"The code of team '{step.team}' no longer declares {', '.join(step.assets)}, which this step is to make.",
        "Deploy code that declares it and retry the run, or start a new run.",
    )
