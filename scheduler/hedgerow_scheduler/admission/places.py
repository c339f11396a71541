"""Places: the queues of one location in one cycle of admission, which share its workers, and what they grant in which order."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from itertools import count
from typing import TypeAlias

from hedgerow.errors import Problem
from hedgerow_scheduler.admission.cycle import Cycle, Grant
from hedgerow_scheduler.admission.drawing import Drawing
from hedgerow_scheduler.admission.room import Room
from hedgerow_scheduler.lifecycle.model import Step
from hedgerow_scheduler.lifecycle.states import StepState
from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.limits.fairness import FairShares
from hedgerow_scheduler.limits.limit import RATES, Holding, Limit, Need
from hedgerow_scheduler.limits.lines import Group, Lane, Line, Place, RunLine, bands_risen
from hedgerow_scheduler.planning.catalog import PublishedManifest

Rank: TypeAlias = tuple[int, float, float, datetime, int]  # the lower, the better
Turn: TypeAlias = tuple[int, int, float, datetime, Place]
MAX_ASIDE = 64  # of a group in one cycle
# Steps of one place that are granted in one cycle, or found to be held up by themselves. The rest comes at once after.
MAX_TAKEN_OF_PLACE = 512


class PlaceTurns:
    """One place in one cycle: its groups, best first."""

    def __init__(self, cycle: Cycle, place: Place, lines: list[Line], room: Room, queue_turns: FairShares[str]) -> None:
        self.cycle, self.place, self.room = cycle, place, room
        self._queues = queue_turns
        self._later: list[Step] = []  # ready, but the manifest that they need has no room while another has
        self._aside: Counter[Group] = Counter()
        self.left = MAX_TAKEN_OF_PLACE
        self._heap: list[tuple[Rank, int, Group]] = []
        self._ties = count()
        self._drawing = Drawing(cycle, place, self._rank_of_lane, self._is_open, self._enter)
        self._open = [line for line in lines if self._is_open(line)]

    def begin(self, limits: Iterable[Limit]) -> None:
        """Ranks what may be granted; `limits` are those on which more groups of the place are parked than are looked at at once."""
        for line in self._open:
            for group in line.unparked:
                self._enter(group)
            if line.crowd:
                self._drawing.from_line(line)
        for limit in limits:
            self._drawing.from_limit(limit)

    def _enter(self, group: Group) -> None:
        if (rank := self._rank(group)) is not None:
            heapq.heappush(self._heap, (rank, next(self._ties), group))

    # -- whose turn it is --------------------------------------------------------------------------------------------

    def _rank_of_lane(self, lane: Lane) -> tuple[int, float]:
        return (-lane.band - lane.aged(self.cycle.now), self._queues.start(lane.line.name[2]))

    def _rank(self, group: Group) -> Rank | None:
        first = group.first_line()
        if first is None:
            return None
        tag, line = first
        lane = group.lane
        head = line.entries[0][2].step
        band = lane.band + lane.aged(self.cycle.now)
        return (-band, self._queues.start(lane.line.name[2]), tag, line.run.created_at, head.number)

    def advance(self) -> bool:
        """Grants for as long as the best group competes with no other place; whether one that does is left."""
        while (group := self._best()) is not None:
            if self._competes(group):
                return True
            self._try(group)
            self._drawing.after(group)
        return False

    def grant_next(self) -> None:
        """Tries the best group, which another place may have been quicker than."""
        group = self._best()
        if group is not None:
            self._try(group)
            self._drawing.after(group)

    def turn(self) -> Turn:
        """How the best group stands among those of other places: urgency, guaranteed minimum, turns by weight, age.

        Urgency rises while the sharer is passed over, not while its other queues and bands are served instead of this one: who
        spreads its work over many of them gets no more turns.
        """
        group = self._heap[0][2]
        lane, team = group.lane, group.lane.line.team_limit.values
        below, lead, passed_over_since = 1, 0.0, lane.waiting_since
        for (limit, _), sharer in _shared(group):
            passed_over_since = max(passed_over_since, limit.last_served.get(sharer, passed_over_since))
            lead = max(lead, limit.fair.lead(sharer, group.weight_at(limit)))
            if team.minimum and limit.is_between_teams and limit.by_sharer[sharer] < team.minimum:
                below = 0
        urgency = lane.urgency + bands_risen(passed_over_since, self.cycle.now)
        return (-urgency, below, lead, self._heap[0][0][3], self.place)

    def is_refused(self) -> bool:
        """Whether the best group needs of something of which nothing is left for anyone."""
        now = self.cycle.now
        return any(limit.refusal(1, now) is not None for limit, _ in self._heap[0][2].needs)

    def _best(self) -> Group | None:
        heap = self._heap
        if heap and min(self.left, self.cycle.left) <= 0:
            self.cycle.due = self.cycle.now  # the rest in the next cycle, at once
            return None
        while heap:
            rank, tie, group = heap[0]
            aside = self._aside[group] >= MAX_ASIDE
            if aside or group.parked_on is not None or not self._is_open(group.lane.line):
                heapq.heappop(heap)
                self._drawing.after(group)
                continue
            fresh = self._rank(group)
            if fresh is None:
                heapq.heappop(heap)
                self._drawing.after(group)
            elif fresh > rank:
                heapq.heapreplace(heap, (fresh, tie, group))
            else:
                return group
        return None

    @staticmethod
    def _competes(group: Group) -> bool:
        return bool(_shared(group))

    # -- what lets it out --------------------------------------------------------------------------------------------

    def _is_open(self, line: Line) -> bool:
        """Whether the queue lets one more step out; what closes it is noted."""
        cause, now = None, self.cycle.now
        for limit in (line.limit, line.team_limit):
            cause = cause or limit.refusal(1, now)
        if cause in RATES:
            self.cycle.due = earliest(self.cycle.due, line.limit.bucket_at(now).due(now))
        if cause is None and not self.room.is_open(line.name):
            cause = Cause.SLOTS_BUSY if self.room.serves(line.name) else Cause.NO_WORKERS
        line.close(cause, now)
        return cause is None

    def _try(self, group: Group) -> None:
        """Grants the best steps of a group as one message, or notes what holds it up."""
        refused = self._refusal(group)
        if refused is not None:
            limit, cause = refused
            group.hold_up(cause, limit, self.cycle.now)
            if cause in RATES:
                self.cycle.snapshot.limits.refused(limit)
            return
        first = group.first_line()
        assert first is not None  # it was ranked a moment ago
        line = first[1]
        step, manifest = self._take(group, line, None)
        if step is None or manifest is None:
            return
        holding = self._hold(group, step)
        self._grant(step, manifest, holding)
        for _ in range(self._batch(group, line, step, manifest.hash) - 1):
            another, _ = self._take(group, line, (step.computation, manifest.hash))
            if another is None:
                break
            holding.attempts += 1
            self._charge(group, another)
            self._grant(another, manifest, holding)

    def _refusal(self, group: Group) -> tuple[Limit, Cause] | None:
        reservations, now = self.cycle.snapshot.limits.reservations, self.cycle.now
        for limit, slots in group.needs:
            cause = limit.refusal(slots, now)
            if cause is None and limit.reserved_for is not None and reservations.refuses(limit, slots, group):
                cause = limit.full
            if cause is not None:
                if cause is Cause.POOL_SLOTS:
                    reservations.ask(limit, group, now)
                return limit, cause
        return None

    def _take(
        self, group: Group, line: RunLine, like: tuple[str, str] | None
    ) -> tuple[Step | None, PublishedManifest | None]:
        """The next step of a run in a group that can start now, and its manifest. `like`: only one of the same computation and
        manifest, that every rate lets out too. What is in its way is noted.
        """
        cycle = self.cycle
        step = line.head(group)
        if step is None:
            return None, None
        if like is not None:
            limits = (group.lane.line.limit, *(limit for limit, _ in group.needs))
            if step.computation != like[0] or not all(limit.has_token(cycle.now) for limit in limits):
                return None, None
        manifest = self._bind(step)
        if like is not None and (manifest is None or manifest.hash != like[1]):
            return None, None
        heapq.heappop(line.entries)
        self.left -= 1
        cycle.left -= 1
        if manifest is None:
            self._without_code(step)
        elif not self.room.fits(group.lane.line.name, manifest.hash):
            if like is not None:
                group.push(step.ticket)
            else:
                self._later.append(step)
                self._aside[group] += 1
        elif self._is_free(manifest, step):
            return step, manifest
        return None, None

    def _bind(self, step: Step) -> PublishedManifest | None:
        """The newest served manifest that declares the step."""
        accepted = self.cycle.snapshot.accepted
        return next((accepted[each] for each in self.room.served if _declares(accepted[each], step)), None)

    def _without_code(self, step: Step) -> None:
        """No worker serves code that declares the step: it waits for those that serve the code in force, or fails when that does
        not declare it either.
        """
        snapshot = self.cycle.snapshot
        in_force = snapshot.catalog.published.get(self.place)
        if in_force is not None and _declares(in_force, step):
            snapshot.backlog.park_on_code(step)
        else:
            snapshot.move(step, StepState.FAILED, self.cycle.now, _vanished(step))

    def _is_free(self, manifest: PublishedManifest, step: Step) -> bool:
        """Whether nothing blocks the step alone; it is parked on what does."""
        snapshot = self.cycle.snapshot
        unresolved = snapshot.catalog.unresolved(manifest.computations[step.computation])
        if unresolved:
            snapshot.backlog.park_on_asset(step, unresolved[0])
            return False
        taken = self.cycle.taken
        blocking = next((lock for lock in step.locks() if lock in snapshot.locks or lock in taken), None)
        if blocking is not None:
            snapshot.backlog.park_on_lock(step, blocking)
            return False
        return True

    # -- taking ------------------------------------------------------------------------------------------------------

    def _hold(self, group: Group, step: Step) -> Holding:
        """Takes what one message holds, and a token of each rate for its first order; it was this group's turn."""
        lane, now = group.lane, self.cycle.now
        line, book = lane.line, self.cycle.snapshot.limits
        location = self.place[1]
        holding = Holding(
            ((line.limit, 1), (line.team_limit, 1), *group.needs), (line.name[2], location, *group.sharers)
        )
        for (limit, slots), sharer in zip(holding.needs, holding.sharers, strict=True):
            book.take_token(limit, now)
            if limit.is_shared and limit.id[0] in ("pool", "team"):
                serve = limit.fair.serve_apart if limit.reserved_for is group else limit.fair.serve
                serve(sharer, slots, group.weight_at(limit))
                limit.last_served[sharer] = now
        self._queues.serve(line.name[2])
        lane.fair.serve(step.run.id)
        lane.waiting_since = now
        if book.reservations.use(group):
            self.cycle.due = now  # those that were refused for it come in the next cycle, at once
        return holding

    def _charge(self, group: Group, step: Step) -> None:
        """One order more in the message: it takes its own tokens, and its part of everyone's turn."""
        lane, now = group.lane, self.cycle.now
        line, book = lane.line, self.cycle.snapshot.limits
        book.take_token(line.limit, now)
        for (limit, slots), sharer in zip(group.needs, group.sharers, strict=True):
            book.take_token(limit, now)
            if limit.is_shared and limit.id[0] == "pool":
                limit.fair.charge(sharer, slots)
        if line.team_limit.is_shared:
            line.team_limit.fair.charge(self.place[1], 1)
        self._queues.charge(line.name[2], 1)
        lane.fair.charge(step.run.id, 1)

    def _grant(self, step: Step, manifest: PublishedManifest, holding: Holding) -> None:
        self.room.take((step.team, step.location, step.queue), manifest.hash)
        self.cycle.taken.update(step.locks())
        self.cycle.grants.append(Grant(step, manifest.hash, manifest.computations[step.computation], holding))

    def _batch(self, group: Group, line: RunLine, step: Step, manifest: str) -> int:
        """How many orders go in the message that begins with `step`: as many as its kind is quick, while every slot gets its part."""
        queue = group.lane.line.name
        most = self.cycle.snapshot.step_times[queue, step.computation].batch(self.cycle.max_batch)
        if most > 1:
            slots = max(1, self.room.slots[queue, manifest])
            most = min(most, (len(line.entries) + 1) // slots)
        return max(1, min(most, self.left, self.cycle.left))

    def end(self) -> None:
        """The cycle is over: what was put aside comes back."""
        for step in self._later:
            ticket = step.ticket
            if ticket is not None and ticket.group is not None:
                ticket.group.push(ticket)


def _shared(group: Group) -> list[tuple[Need, str]]:
    """The limits of a group for which others may be in its place's way, with who is charged for each."""
    line = group.lane.line
    shared = [
        (need, sharer)
        for need, sharer in zip(group.needs, group.sharers, strict=True)
        if need[0].id[0] == "pool" and need[0].is_shared
    ]
    if line.team_limit.is_shared:
        shared.append(((line.team_limit, 1), line.name[1]))
    return shared


def earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    """The earlier of two times, either of which may be none."""
    return min((each for each in (one, other) if each is not None), default=None)


def _declares(published: PublishedManifest, step: Step) -> bool:
    computation = published.computations.get(step.computation)
    return computation is not None and set(step.assets) <= set(computation.assets)


def _vanished(step: Step) -> Problem:
    return Problem(
        "HR-Q012",
        f"The code of team '{step.team}' no longer declares {', '.join(step.assets)}, which this step is to make.",
        "Deploy code that declares it and retry the run, or start a new run.",
    )
