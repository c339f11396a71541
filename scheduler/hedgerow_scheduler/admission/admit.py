"""Admission: which ready steps may start now. A step is granted iff every limit on it lets it out; nothing is held while it waits.

Within a place (the queues of one location, which share its workers) the order is: band of priority, with ageing; turns of the
queues; turns of the runs; age of the run; number. Between places it matters only where they share a limit: there the urgency that
operators gave a run comes first, then teams below their guaranteed minimum, then turns by weight. A team's own priorities order
nothing but its own steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from hedgerow_scheduler.admission.capacity import LocationCapacity, Offer, capacity_of, offers_of
from hedgerow_scheduler.admission.cycle import Cycle, Grant
from hedgerow_scheduler.admission.places import MAX_TAKEN_OF_PLACE, PlaceTurns, earliest
from hedgerow_scheduler.admission.room import Room, count_out
from hedgerow_scheduler.lifecycle.model import Worker
from hedgerow_scheduler.lifecycle.service_time import MAX_BATCH
from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.limits.fairness import FairShares
from hedgerow_scheduler.limits.lines import Line, Place
from hedgerow_scheduler.planning.catalog import PublishedManifest
from hedgerow_scheduler.planning.snapshot import Snapshot

MAX_LOOKS = 20_000  # at places that compete, in one cycle
# What a location's workers offer, and its manifests that were accepted: its capacity follows from these.
_Basis: TypeAlias = tuple[tuple[Offer, ...], tuple[str, ...]]


class Admission:
    """Grants steps of the backlog, at most `max_batch` in one message."""

    def __init__(self, lease: timedelta, max_batch: int = MAX_BATCH) -> None:
        self.lease, self.max_batch = lease, max_batch
        self.due: datetime | None = None  # when a limit lets someone out without anything else happening
        self._first: Place | None = None
        self._known: dict[Place, tuple[_Basis, LocationCapacity]] = {}
        self._served: dict[Place, tuple[str, ...]] = {}
        self._queue_turns: defaultdict[Place, FairShares[str]] = defaultdict(FairShares)

    def capacities(self, snapshot: Snapshot, now: datetime) -> dict[Place, LocationCapacity]:
        """The capacity of every location that has workers; worked out only where these have changed."""
        groups: dict[Place, list[Worker]] = defaultdict(list)
        for worker in snapshot.workers.values():
            groups[worker.team, worker.location].append(worker)
        accepted: dict[Place, list[str]] = defaultdict(list)
        for manifest_hash, published in snapshot.accepted.items():
            accepted[home(published)].append(manifest_hash)
        known: dict[Place, tuple[_Basis, LocationCapacity]] = {}
        for place, workers in groups.items():
            now_so = (offers_of(workers, now, self.lease), tuple(accepted[place]))
            before = self._known.get(place)
            known[place] = before if before and before[0] == now_so else (now_so, capacity_of(*now_so))
        self._known = known
        return {place: capacity for place, (_, capacity) in known.items()}

    def grant(self, snapshot: Snapshot, now: datetime) -> list[Grant]:
        """The steps to dispatch. Steps whose definition has vanished fail here; a step of which an asset partition is being made is
        parked until that one is free. Granted steps still have the state `ready`, and hold what they need.
        """
        backlog = snapshot.backlog
        backlog.now, self.due = now, None
        capacities = self.capacities(snapshot, now)
        for place, capacity in capacities.items():
            if self._served.get(place) != capacity.served:
                self._served[place] = capacity.served
                backlog.code_changed(place)
        waiting: dict[Place, list[Line]] = defaultdict(list)
        for line in backlog.lines.values():
            if line.size:
                waiting[line.place].append(line)
        out = count_out(snapshot, capacities) if waiting else defaultdict()
        cycle = Cycle(snapshot, now, self.max_batch)
        turns = []
        for place, lines in waiting.items():
            there = capacities.get(place)
            if there is None or not there.served:
                for line in lines:
                    line.close(Cause.NO_WORKERS, now)
                continue
            room = Room(snapshot, place, there, (line.name for line in lines), out[place], alone=self.max_batch == 1)
            turns.append(PlaceTurns(cycle, place, lines, room, self._queue_turns[place]))
        first = next((number for number, turn in enumerate(turns) if turn.place == self._first), 0)
        turns = turns[first:] + turns[:first]
        snapshot.limits.reservations.end_idle(now)
        sources = snapshot.limits.release(now)
        for turn in turns:
            turn.begin(sources.get(turn.place, ()))
        _take_turns(turns, cycle)
        for turn in turns:
            turn.end()
        snapshot.limits.rest(now)
        # Whoever the cycle had nothing left for comes first in the next one.
        self._first = (
            next((turn.place for turn in turns if turn.left == MAX_TAKEN_OF_PLACE), None) if cycle.left <= 0 else None
        )
        if snapshot.limits.reservations.end_idle(now):
            cycle.due = now  # those that were refused for it come in the next cycle, at once
        self.due = earliest(cycle.due, snapshot.limits.next_token(now))
        return cycle.grants


def _take_turns(turns: Sequence[PlaceTurns], cycle: Cycle) -> None:
    """Lets each place grant what it competes for with nobody, and of the rest the one whose turn it is, again and again."""
    competing = [turn for turn in turns if turn.advance()]
    looks = 0
    while competing and looks < MAX_LOOKS:
        looks += len(competing)
        # Those that nobody could let out need not be asked one after the other whose turn it is.
        chosen = [turn for turn in competing if turn.is_refused()] if len(competing) > 1 else competing
        if len(chosen) > 1:
            chosen.sort(key=lambda turn: turn.turn())
        elif not chosen:
            chosen = [min(competing, key=lambda turn: turn.turn())]
        for turn in chosen:
            turn.grant_next()
        asked = set(chosen)
        competing = [turn for turn in competing if turn not in asked or turn.advance()]
    if competing:
        cycle.due = cycle.now  # the rest in the next cycle, at once


def home(published: PublishedManifest) -> tuple[str, str]:
    """The (team, location) of a manifest."""
    return (published.manifest.team, published.manifest.location)
