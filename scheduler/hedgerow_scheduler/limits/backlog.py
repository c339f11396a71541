"""The backlog: ready steps, grouped so that a cycle of admission looks at a few heads however many steps wait.

A step waits in a *line* (its queue), there in a *lane* (one band of priority), there in a *group* (the same limits beyond those of
the queue), there behind the other steps of its run. What blocks one step of a group blocks all of them, so that a group is parked
on a limit as a whole and looked at again when that limit may let someone out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count

from hedgerow_scheduler.lifecycle.model import Step
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.limits.limit import Need
from hedgerow_scheduler.limits.lines import Group, Lane, Line, Place, QueueName, Ticket


def queue_of(step: Step) -> QueueName:
    """The queue a step waits in."""
    return (step.team, step.location, step.queue)


class Backlog:
    """All ready steps. `now` is the time of the cycle: whoever moves steps keeps it.

    `open_line(queue)` gives a new line, `needs_of(step)` the limits of a step beyond queue and team with who is charged, and a
    signature that is equal for equal needs.
    """

    def __init__(
        self,
        open_line: Callable[[QueueName], Line],
        needs_of: Callable[[Step], tuple[object, tuple[Need, ...], tuple[str, ...]]],
    ) -> None:
        self.now = datetime.min.replace(tzinfo=UTC)
        self.lines: dict[QueueName, Line] = {}
        self._open_line, self._needs_of = open_line, needs_of
        self._on_lock: dict[tuple[str, str], list[Step]] = defaultdict(list)
        self._on_asset: dict[str, list[Step]] = defaultdict(list)
        self._on_code: dict[Place, list[Step]] = defaultdict(list)
        self._arrivals = count()

    # -- coming and going --------------------------------------------------------------------------------------------

    def add(self, step: Step) -> None:
        """A step became ready, or is looked at again."""
        now = self.now
        ticket = Ticket(next(self._arrivals), step, now)
        lane = self._lane(step)
        signature, needs, sharers = self._needs_of(step)
        group = lane.groups.get(signature)
        if group is None:
            group = lane.groups[signature] = Group(lane, signature, needs, sharers, now)
            lane.line.enter(group)
        if not lane.size:
            lane.waiting_since = now
        ticket.group, ticket.entered = group, group.clock.reading(now)
        group.computations.add(step.computation)
        group.size += 1
        lane.size += 1
        lane.line.size += 1
        group.push(ticket)
        group.arrivals.append(ticket)
        step.ticket = ticket

    def _lane(self, step: Step) -> Lane:
        name = queue_of(step)
        line = self.lines.get(name)
        if line is None:
            line = self.lines[name] = self._open_line(name)
        urgency = step.run.priority
        band = urgency + step.priority
        lane = line.lanes.get((urgency, band))
        if lane is None:
            lane = line.lanes[urgency, band] = Lane(line, urgency, band, self.now)
        return lane

    def leave(self, step: Step) -> None:
        """A step is ready no more, or is put elsewhere: the seconds that it waited are added to its own."""
        ticket: Ticket | None = step.ticket
        if ticket is None:
            return
        step.ticket = None
        if ticket.parked is not None:
            step.waited(ticket.parked, (self.now - ticket.since).total_seconds())
        group = ticket.group
        if group is None:
            return
        ticket.group = None
        entered = ticket.entered
        for cause, seconds in group.clock.reading(self.now).items():
            step.waited(cause, seconds - entered.get(cause, 0.0))
        group.size -= 1
        lane = group.lane
        lane.size -= 1
        lane.line.size -= 1
        if not group.size:
            group.hold_up(Cause.TURN, None, self.now)
            group.hungry_since = None
            del lane.groups[group.signature]
            lane.line.drop(group)

    def regroup(self, steps: Iterable[Step]) -> None:
        """What these steps need, or their priority, has changed."""
        for step in list(steps):
            ticket: Ticket | None = step.ticket
            if ticket is not None and ticket.group is not None:
                self.leave(step)
                self.add(step)

    # -- parking -----------------------------------------------------------------------------------------------------

    def park_on_lock(self, step: Step, lock: tuple[str, str]) -> None:
        """The step waits until no attempt holds (asset, partition)."""
        self._park(step, Cause.SAME_OUTPUT)
        self._on_lock[lock].append(step)

    def park_on_asset(self, step: Step, asset: str, cause: Cause = Cause.UNRESOLVED) -> None:
        """The step waits until `asset` changes: it gets a current materialization, or comes to be declared."""
        self._park(step, cause)
        self._on_asset[asset].append(step)

    def park_on_code(self, step: Step) -> None:
        """The step waits until its location's workers serve other code, or the definitions change."""
        self._park(step, Cause.NO_CODE)
        self._on_code[step.team, step.location].append(step)

    def _park(self, step: Step, cause: Cause) -> None:
        self.leave(step)
        ticket = Ticket(next(self._arrivals), step, self.now)
        ticket.parked = cause
        step.ticket = ticket

    def code_changed(self, place: Place) -> None:
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
            if step.state is StepState.READY and step.ticket is not None and step.ticket.parked is not None:
                self.leave(step)
                self.add(step)

    # -- looking -----------------------------------------------------------------------------------------------------

    def parked(self) -> Iterator[Step]:
        """The steps that wait for a lock, an asset or code, each once."""
        seen: set[int] = set()
        for parked in (*self._on_lock.values(), *self._on_asset.values(), *self._on_code.values()):
            for step in parked:
                ticket: Ticket | None = step.ticket
                if ticket is not None and ticket.parked is not None and ticket.number not in seen:
                    seen.add(ticket.number)
                    yield step

    def __iter__(self) -> Iterator[Step]:
        """Every ready step, parked or not, in no order."""
        for line in self.lines.values():
            for group in line.groups():
                yield from (ticket.step for ticket in group.tickets())
        yield from self.parked()
