"""The backlog: ready steps by queue, best first, with those that are blocked parked on what blocks them."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import count

from hedgerow_scheduler.lifecycle.model import Step
from hedgerow_scheduler.lifecycle.states import StepState

QueueName = tuple[str, str, str]  # (team, location, queue)
_Entry = tuple[int, datetime, int, int, Step]


def queue_of(step: Step) -> QueueName:
    """The queue a step waits in."""
    return (step.team, step.location, step.queue)


class Backlog:
    """Ready steps. A step that left the state `ready` is dropped when it comes up, so that leaving costs nothing.

    Order within a queue: priority, then age of the run, then number. Steps parked on a lock or an asset come back when it is
    freed; a cycle never looks at them in between.
    """

    def __init__(self) -> None:
        self._heaps: dict[QueueName, list[_Entry]] = defaultdict(list)
        self._on_lock: dict[tuple[str, str], list[Step]] = defaultdict(list)
        self._on_asset: dict[str, list[Step]] = defaultdict(list)
        self._arrivals = count()

    def add(self, step: Step) -> None:
        """A step became ready."""
        entry = (-step.priority, step.run.created_at, step.number, next(self._arrivals), step)
        heapq.heappush(self._heaps[queue_of(step)], entry)

    def queues(self) -> tuple[QueueName, ...]:
        """The queues that have entries."""
        return tuple(name for name, heap in self._heaps.items() if heap)

    def take(self, queue: QueueName) -> Step | None:
        """The best ready step of a queue, removed from it; None when there is none."""
        heap = self._heaps[queue]
        while heap:
            step = heapq.heappop(heap)[-1]
            if step.state is StepState.READY:
                return step
        return None

    def park_on_lock(self, step: Step, lock: tuple[str, str]) -> None:
        """The step waits until no attempt holds (asset, partition)."""
        self._on_lock[lock].append(step)

    def park_on_asset(self, step: Step, asset: str) -> None:
        """The step waits until `asset` changes: it gets a current materialization, or comes to be declared."""
        self._on_asset[asset].append(step)

    def unlocked(self, lock: tuple[str, str]) -> None:
        """(asset, partition) is free."""
        self._release(self._on_lock.pop(lock, ()))

    def asset_changed(self, asset: str) -> None:
        """An asset got a current materialization."""
        self._release(self._on_asset.pop(asset, ()))

    def release_parked_on_assets(self) -> None:
        """The definitions changed: everything that waits for an asset is looked at again."""
        for asset in list(self._on_asset):
            self.asset_changed(asset)

    def _release(self, steps: list[Step] | tuple[Step, ...]) -> None:
        for step in steps:
            if step.state is StepState.READY:
                self.add(step)

    def __iter__(self) -> Iterator[Step]:
        """Every entry's step, parked or not, in no order; some may have left the state `ready`, none comes twice for one entry."""
        for heap in self._heaps.values():
            yield from (entry[-1] for entry in heap)
        for parked in (*self._on_lock.values(), *self._on_asset.values()):
            yield from parked
