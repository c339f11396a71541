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
Rank = tuple[
    int, datetime, int, int
]  # the lower, the better: priority, age of the run, number; the last makes it unique
_Entry = tuple[int, datetime, int, int, Step]


def queue_of(step: Step) -> QueueName:
    """The queue a step waits in."""
    return (step.team, step.location, step.queue)


class Backlog:
    """Ready steps. A step that left the state `ready` is dropped when it comes up, so that leaving costs nothing.

    Order within a queue: priority, then age of the run, then number. Steps parked on a lock, an asset or their code come back
    when it is there; a cycle never looks at them in between.
    """

    def __init__(self) -> None:
        self._heaps: dict[QueueName, list[_Entry]] = defaultdict(list)
        self._on_lock: dict[tuple[str, str], list[Step]] = defaultdict(list)
        self._on_asset: dict[str, list[Step]] = defaultdict(list)
        self._on_code: dict[tuple[str, str], list[Step]] = defaultdict(list)
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
        return heapq.heappop(self._heaps[queue])[-1] if self.peek_rank(queue) is not None else None

    def peek_rank(self, queue: QueueName) -> Rank | None:
        """The rank of the step that `take` would return, comparable between queues."""
        heap = self._heaps[queue]
        while heap and heap[0][-1].state is not StepState.READY:
            heapq.heappop(heap)
        return heap[0][:-1] if heap else None

    def park_on_lock(self, step: Step, lock: tuple[str, str]) -> None:
        """The step waits until no attempt holds (asset, partition)."""
        self._on_lock[lock].append(step)

    def park_on_asset(self, step: Step, asset: str) -> None:
        """The step waits until `asset` changes: it gets a current materialization, or comes to be declared."""
        self._on_asset[asset].append(step)

    def park_on_code(self, step: Step) -> None:
        """The step waits until its location's workers serve other code, or the definitions change."""
        self._on_code[step.team, step.location].append(step)

    def code_changed(self, place: tuple[str, str]) -> None:
        """The workers of (team, location) serve other manifests than before."""
        self._release(self._on_code.pop(place, ()))

    def unlocked(self, lock: tuple[str, str]) -> None:
        """(asset, partition) is free."""
        self._release(self._on_lock.pop(lock, ()))

    def asset_changed(self, asset: str) -> None:
        """An asset got a current materialization."""
        self._release(self._on_asset.pop(asset, ()))

    def release_parked_on_assets(self) -> None:
        """The definitions changed: everything that waits for an asset or for code is looked at again."""
        for asset in list(self._on_asset):
            self.asset_changed(asset)
        for place in list(self._on_code):
            self.code_changed(place)

    def _release(self, steps: list[Step] | tuple[Step, ...]) -> None:
        for step in steps:
            if step.state is StepState.READY:
                self.add(step)

    def __iter__(self) -> Iterator[Step]:
        """Every entry's step, parked or not, in no order; some may have left the state `ready`, none comes twice for one entry."""
        for heap in self._heaps.values():
            yield from (entry[-1] for entry in heap)
        for parked in (*self._on_lock.values(), *self._on_asset.values(), *self._on_code.values()):
            yield from parked
