"""Lines: one queue of the backlog, its lanes, and in these the groups of steps that need the same limits."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias

from hedgerow_scheduler.lifecycle.model import Run, Step
from hedgerow_scheduler.lifecycle.waits import Cause, WaitClock
from hedgerow_scheduler.limits.fairness import AGEING, FairShares
from hedgerow_scheduler.limits.limit import Limit, Need
from hedgerow_scheduler.limits.parking import Parking

QueueName: TypeAlias = tuple[str, str, str]  # (team, location, queue)
Place: TypeAlias = tuple[str, str]  # (team, location)
MANY = 256  # groups of one queue that a cycle looks at before it draws from the others


class Ticket:
    """A step's place in the backlog, from the moment it became ready until it left or was parked."""

    __slots__ = ("entered", "group", "number", "parked", "since", "step")

    def __init__(self, number: int, step: Step, since: datetime) -> None:
        self.number, self.step, self.since = number, step, since
        self.group: Group | None = None
        self.entered: dict[Cause, float] = {}
        self.parked: Cause | None = None


class RunLine:
    """The steps of one run in one group, by number."""

    __slots__ = ("entries", "run")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.entries: list[tuple[int, int, Ticket]] = []

    def head(self, group: Group) -> Step | None:
        """The first step that still waits here."""
        entries = self.entries
        while entries:
            ticket = entries[0][2]
            if ticket.group is group:
                return ticket.step
            heapq.heappop(entries)
        return None


class Group:
    """Steps of one lane that need the same limits. `own` is what holds all of them up, `TURN` when nothing but the order does.

    `signature` tells groups apart, `needs` are the limits beyond queue and team, `sharers` who is charged for each of these.
    `hungry_since` is when a limit first had too few slots free for it; `reserving` the one of which some are kept for it.
    """

    __slots__ = ("_heap", "_lines", "arrivals", "clock", "computations", "hungry_since", "lane", "needs", "own", "parked_on",
                 "reserving", "sharers", "signature", "size")  # fmt: skip

    def __init__(
        self, lane: Lane, signature: object, needs: tuple[Need, ...], sharers: tuple[str, ...], now: datetime
    ) -> None:
        self.lane, self.signature, self.needs, self.sharers = lane, signature, needs, sharers
        self.size = 0
        self.own = Cause.TURN
        self.parked_on: Limit | None = None
        self.hungry_since: datetime | None = None
        self.reserving: Limit | None = None
        self.clock = WaitClock(now, lane.line.cause or Cause.TURN)
        self.arrivals: deque[Ticket] = deque()
        self.computations: set[str] = set()
        self._lines: dict[str, RunLine] = {}
        self._heap: list[tuple[float, datetime, str, RunLine]] = []

    @property
    def cause(self) -> Cause:
        """What its steps wait for: what closes the queue comes first."""
        return self.lane.line.cause or self.own

    def push(self, ticket: Ticket) -> None:
        """A step joins, or comes back unchanged after it was taken."""
        run = ticket.step.run
        line = self._lines.get(run.id)
        if line is None:
            line = self._lines[run.id] = RunLine(run)
        if not line.entries:
            heapq.heappush(self._heap, (self.lane.fair.start(run.id), run.created_at, run.id, line))
            parked = self.lane.line.crowd if self.parked_on is None else self.parked_on.parked
            if parked:
                parked.join(self, run, ticket.step.number)
        heapq.heappush(line.entries, (ticket.step.number, ticket.number, ticket))

    def first_line(self) -> tuple[float, RunLine] | None:
        """The run whose turn it is, with its start tag; None when no step waits. Tags only grow, so that old ones are renewed late."""
        heap = self._heap
        while heap:
            tag, created, run_id, line = heap[0]
            if line.head(self) is None:
                heapq.heappop(heap)
                if self._lines.get(run_id) is line:
                    del self._lines[run_id]
                continue
            fresh = self.lane.fair.start(run_id)
            if fresh <= tag:
                return tag, line
            heapq.heapreplace(heap, (fresh, created, run_id, line))
        return None

    def head_of(self, run_id: str) -> Step | None:
        """The first step of a run that waits here."""
        line = self._lines.get(run_id)
        return line.head(self) if line is not None else None

    def heads(self, most: int) -> list[tuple[Run, int]]:
        """The first of its runs, with the number of the first step of each: the one whose turn it is, and some others."""
        first = self.first_line()
        lines = [first[1]] if first is not None else []
        for line in self._lines.values():
            if len(lines) >= most:
                break
            if line is not lines[0] and line.head(self) is not None:
                lines.append(line)
        return [(line.run, line.entries[0][0]) for line in lines]

    def hold_up(self, cause: Cause, limit: Limit | None, now: datetime) -> None:
        """What holds the whole group up from now on; `limit` parks it there."""
        if self.parked_on is not None:
            self.parked_on.parked.discard(self)
        self.parked_on = limit
        if limit is not None:
            limit.parked.add(self)
            self.lane.line.drop(self)
        else:
            self.lane.line.enter(self)
        self.tell(cause, now)

    def tell(self, cause: Cause, now: datetime) -> None:
        """What its steps wait for from now on."""
        self.own = cause
        self.clock.mark(self.cause, now)

    def slots_of(self, limit: Limit) -> int:
        """How many slots of a limit it needs."""
        return sum(slots for each, slots in self.needs if each is limit)

    def sharer_at(self, limit: Limit) -> str:
        """Who is charged for a limit that it needs."""
        return next(sharer for (each, _), sharer in zip(self.needs, self.sharers, strict=True) if each is limit)

    def weight_at(self, limit: Limit) -> float:
        """The weight of its turns for a limit."""
        return self.lane.line.team_limit.values.weight if limit.is_between_teams else 1.0

    def waits_only_for(self, limit: Limit) -> bool:
        """Whether steps wait here that no queue holds up, and no limit other than this."""
        return self.size > 0 and self.lane.line.cause is None and self.parked_on in (None, limit)

    def oldest(self) -> datetime | None:
        """Since when the step waits that became ready first."""
        while self.arrivals and self.arrivals[0].group is not self:
            self.arrivals.popleft()
        return self.arrivals[0].step.ready_at if self.arrivals else None

    def tickets(self) -> Iterator[Ticket]:
        """Those of all that wait here, in no order."""
        for line in self._lines.values():
            yield from (ticket for _, _, ticket in line.entries if ticket.group is self)


class Lane:
    """One band of a line: priority of the asset and of the run. Runs take turns in it by `fair`."""

    __slots__ = ("band", "fair", "groups", "line", "size", "urgency", "waiting_since")

    def __init__(self, line: Line, urgency: int, band: int, now: datetime) -> None:
        self.line, self.urgency, self.band = line, urgency, band
        self.size = 0
        self.fair: FairShares[str] = FairShares()
        self.groups: dict[object, Group] = {}
        self.waiting_since = now

    def aged(self, now: datetime) -> int:
        """By how many bands it has risen because it was passed over."""
        return bands_risen(self.waiting_since, now)


def bands_risen(since: datetime, now: datetime) -> int:
    """By how many bands rises who has been passed over since then."""
    return max(0, (now - since) // AGEING)


class Line:
    """One queue. `cause` closes it as a whole, None when it is open."""

    __slots__ = ("cause", "crowd", "lanes", "limit", "name", "size", "team_limit", "unparked")

    def __init__(self, name: QueueName, limit: Limit, team_limit: Limit) -> None:
        self.name, self.limit, self.team_limit = name, limit, team_limit
        self.size = 0
        self.cause: Cause | None = None
        self.lanes: dict[tuple[int, int], Lane] = {}
        # The groups that no limit beyond the queue's and the team's holds up: those that every cycle looks at, and the others.
        self.unparked: dict[Group, None] = {}
        self.crowd = Parking()

    @property
    def place(self) -> Place:
        """The (team, location) that it belongs to."""
        return self.name[:2]

    def groups(self) -> Iterator[Group]:
        """Its groups."""
        for lane in self.lanes.values():
            yield from lane.groups.values()

    def enter(self, group: Group) -> None:
        """No limit holds a group up, as far as is known."""
        if len(self.unparked) < MANY:
            self.crowd.discard(group)
            self.unparked[group] = None
        elif group not in self.unparked:
            self.crowd.add(group)

    def drop(self, group: Group) -> None:
        """A limit holds a group up, or nothing waits in it any more."""
        self.unparked.pop(group, None)
        self.crowd.discard(group)

    def close(self, cause: Cause | None, now: datetime) -> None:
        """What closes it from now on; None opens it."""
        if cause is not self.cause:
            self.cause = cause
            for group in self.groups():
                group.clock.mark(group.cause, now)
