"""Parking: groups that wait for one thing. Of very many, only those are looked at that are next and may go.

While few are parked on a limit, all of them are woken when it may let someone out. Of more, those that wait are filed by place,
lane and run, in the order of their turns, and drawn from there one by one, for as long as the limit lets anyone out.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hedgerow_scheduler.lifecycle.model import Run
    from hedgerow_scheduler.limits.limit import Limit
    from hedgerow_scheduler.limits.lines import Group, Lane, Place

FEW = 16
FILED_RUNS = 8  # under so many of its runs a group is filed; the others come when one of these has had its turn

_numbers = count(1)


class Order:
    """The filed groups of one lane that need the same number of slots, by the turns of their runs and by the number of the step."""

    __slots__ = ("_heap", "_runs", "lane", "slots")

    def __init__(self, lane: Lane, slots: int) -> None:
        self.lane, self.slots = lane, slots
        self._runs: dict[str, list[tuple[int, int, int, Group]]] = {}
        self._heap: list[tuple[float, Any, str]] = []

    def push(self, run: Run, head: int, filing: int, group: Group) -> None:
        """Files a group under a run of which it holds the step `head`."""
        entries = self._runs.get(run.id)
        if entries is None:
            entries = self._runs[run.id] = []
            heapq.heappush(self._heap, (self.lane.fair.start(run.id), run.created_at, run.id))
        heapq.heappush(entries, (head, next(_numbers), filing, group))

    def best(self, filed: dict[Group, int]) -> Group | None:
        """The group whose turn it is. Tags only grow, and groups leave without notice: both are seen to here."""
        heap, fair = self._heap, self.lane.fair
        while heap:
            tag, created, run_id = heap[0]
            entries = self._runs[run_id]
            while entries and filed.get(entries[0][3]) != entries[0][2]:
                heapq.heappop(entries)
            if not entries:
                heapq.heappop(heap)
                del self._runs[run_id]
            elif (fresh := fair.start(run_id)) > tag:
                heapq.heapreplace(heap, (fresh, created, run_id))
            elif entries[0][3].head_of(run_id) is not None:
                return entries[0][3]
            else:  # it has no step of this run any more
                _, _, filing, group = heapq.heappop(entries)
                if (first := group.first_line()) is not None:
                    self.push(first[1].run, first[1].entries[0][0], filing, group)
        return None


class Parking:
    """The groups that are parked on one limit, or that a queue has too many of to look at. Those that came since the limit let go
    of something are not filed: they were refused.
    """

    __slots__ = ("_fresh", "_orders", "groups")

    def __init__(self) -> None:
        self.groups: dict[Group, int] = {}  # with the number under which each is filed, 0 when it is not
        self._fresh: dict[Group, None] = {}
        self._orders: dict[Place, dict[tuple[Lane, int], Order]] = {}

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self.groups))

    def add(self, group: Group) -> None:
        """A group waits from now on."""
        self.groups[group] = 0
        self._fresh[group] = None

    def discard(self, group: Group) -> None:
        """A group waits here no more."""
        self.groups.pop(group, None)
        self._fresh.pop(group, None)
        if not self.groups:
            self._orders.clear()

    def join(self, group: Group, run: Run, head: int) -> None:
        """The first step of a run comes to a group that is parked here."""
        filing = self.groups.get(group)
        if filing:
            orders = self._orders[group.lane.line.place]
            next(order for (lane, _), order in orders.items() if lane is group.lane).push(run, head, filing, group)

    def renew(self, limit: Limit | None = None) -> None:
        """The limit has let go of something, or was changed: all may be looked at again."""
        for group in self._fresh:
            slots, lane = group.slots_of(limit) if limit else 0, group.lane
            orders = self._orders.setdefault(lane.line.place, {})
            order = orders.get((lane, slots))
            if order is None:
                order = orders[lane, slots] = Order(lane, slots)
            filing = self.groups[group] = next(_numbers)
            for run, head in group.heads(FILED_RUNS):
                order.push(run, head, filing, group)
        self._fresh.clear()

    def has_filed(self) -> bool:
        """Whether any group waits to be looked at again."""
        return len(self.groups) > len(self._fresh)

    def places(self) -> Iterable[Place]:
        """Where groups may be filed."""
        return self._orders

    def orders(self, place: Place) -> list[Order]:
        """The filed groups of a place, by lane and slots."""
        orders = self._orders.get(place, {})
        for key in [key for key, order in orders.items() if order.best(self.groups) is None]:
            del orders[key]
        return list(orders.values())


class Draw:
    """The groups of a place that are parked together, best lane first by `rank`, in one cycle. `is_open` tells of a lane whether
    its queue lets anyone out.
    """

    def __init__(
        self, parked: Parking, place: Place, rank: Callable[[Lane], Any], is_open: Callable[[Lane], bool]
    ) -> None:
        self._groups, self._rank, self._is_open = parked.groups, rank, is_open
        self._heap = [(rank(order.lane), number, order) for number, order in enumerate(parked.orders(place))]
        heapq.heapify(self._heap)

    def next(self, free: float) -> Group | None:
        """The best that needs at most `free` slots, of which there come to be no more within the cycle."""
        heap = self._heap
        while heap:
            rank, number, order = heap[0]
            group = order.best(self._groups) if order.slots <= free and self._is_open(order.lane) else None
            if group is None:
                heapq.heappop(heap)
            elif (fresh := self._rank(order.lane)) > rank:
                heapq.heapreplace(heap, (fresh, number, order))
            else:
                return group
        return None

    def asking(self) -> Group | None:
        """The best of those that need several slots: whether they are free or not, it may ask to have them kept."""
        several = [each for each in self._heap if each[2].slots > 1 and self._is_open(each[2].lane)]
        return min(several)[2].best(self._groups) if several else None
