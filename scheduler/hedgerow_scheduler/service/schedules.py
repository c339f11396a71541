"""Launching what schedules ask for: each tick that has come due becomes a run, or is recorded with the reason why not."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from hedgerow import clock
from hedgerow.cron import Cron
from hedgerow.errors import HedgerowError, Problem
from hedgerow.manifest.model import Schedule
from hedgerow_scheduler.automation.agenda import Agenda
from hedgerow_scheduler.automation.pauses import Pauses
from hedgerow_scheduler.automation.schedules import (
    Due,
    Place,
    Standing,
    author_of,
    due,
    passed,
    reconcile,
    request_of,
    tags_of,
)
from hedgerow_scheduler.lifecycle.changes import NewRun, ScheduleMove, TickRecord
from hedgerow_scheduler.lifecycle.model import Run
from hedgerow_scheduler.lifecycle.states import RunState
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.request import run_cap
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.planning.steps import plan_steps
from hedgerow_scheduler.service.requests import step_of
from hedgerow_scheduler.service.run_commands import STEPS_PER_CYCLE

PER_CYCLE = 5  # launches after which a cycle leaves the rest to the next one: each looks through all assets
LOOKED_AT = 20  # schedules of which a cycle deals with ticks
PUTTING_S = 0.05  # of a cycle, for finding ticks of schedules that have just come into force
LONG_AGO = datetime.min.replace(tzinfo=UTC)
MISSED = "the scheduler did not run in time"
log = logging.getLogger("hedgerow.scheduler")


class Schedules:
    """The schedules of one term. What they decide goes into the snapshot's changes: runs and moves are recorded together."""

    def __init__(
        self, snapshot: Snapshot, standing: Iterable[Standing], enabled: bool, new_id: Callable[[], str]
    ) -> None:
        self._snapshot, self._enabled, self._new_id = snapshot, enabled, new_id
        self._standing = {one.place: one for one in standing}
        self._declared: Mapping[Place, Schedule] = {}
        self._agenda = Agenda()
        self._to_put: deque[Place] = deque()
        """Those whose next tick is to be found."""
        self._catalog: Catalog | None = None
        self.pauses = Pauses()

    def next_tick(self) -> datetime | None:
        """When the next tick comes due; long ago, while that is not known of all."""
        return LONG_AGO if self._to_put else self._agenda.next()

    def launch(self, now: datetime, stay: Callable[[], None]) -> None:
        """Deals with the ticks that have come due, up to about PER_CYCLE launches or STEPS_PER_CYCLE steps; the rest stays due.
        `stay` is called amid the planning of runs, for that of a large one takes seconds.
        """
        if self._snapshot.catalog is not self._catalog:
            self._take_up(now)
        until = clock.monotonic() + PUTTING_S
        while self._to_put and clock.monotonic() < until:
            if (standing := self._standing.get(self._to_put.popleft())) is not None:
                self._put(standing)
        launched = steps = 0
        for place in self._agenda.take(now, LOOKED_AT):
            standing = self._standing[place]
            assert standing.last_tick is not None  # it is on the agenda
            last = standing.last_tick
            if launched < PER_CYCLE and steps < STEPS_PER_CYCLE:
                if (found := self._due_safely(place, last, now)) is None:
                    continue
                for tick in found.launch:
                    launched, steps = launched + 1, steps + self._launch(place, tick, now, stay)
                last = found.last
                self._move(standing, last)
            self._put(self._standing[place])

    def _take_up(self, now: datetime) -> None:
        """Other code has come into force. What stays as it was stays on the agenda: near a change of clocks, looking for a tick takes long."""
        is_first, self._catalog = self._catalog is None, self._snapshot.catalog
        self._declared = {
            Place(team, location, schedule.name): schedule
            for (team, location), published in self._catalog.published.items()
            for schedule in published.manifest.schedules
        }
        changes = self._snapshot.changes
        for fresh in reconcile(self._standing, self._declared, now, self._enabled):
            self._standing[fresh.place] = fresh
            changes.schedules.append(fresh)
            self._agenda.drop(fresh.place)
            if not is_first:
                self._to_put.append(fresh.place)
        for place in self._standing.keys() - self._declared.keys():
            del self._standing[place]
            changes.gone_schedules.append(place)
            self._agenda.drop(place)
        if is_first:
            self._to_put.extend(self._standing)

    def _put(self, standing: Standing) -> None:
        """Onto the agenda, if it is on."""
        if standing.last_tick is None:
            return
        try:
            self._agenda.put(standing.place, Cron(standing.cron, standing.tz), standing.last_tick)
        except Exception:  # a time zone that this machine does not know (any more): that schedule's trouble alone
            log.exception("schedule %s can't tick", standing.place.title)

    def _due_safely(self, place: Place, last: datetime, now: datetime) -> Due | None:
        """As `_due`; None where that can't be told, by a defect: the schedule does not tick until other code comes into force."""
        try:
            return self._due(place, last, now)
        except Exception as error:
            log.exception("what is due of schedule %s can't be told", place.title)
            problem = Problem("HR-Q014", f"Its ticks can't be told: {error!r}.", "Report it with the scheduler's log.")
            self._note(TickRecord(place, now, "failed", error=problem))
            return None

    def _due(self, place: Place, last: datetime, now: datetime) -> Due:
        """What has come due, with what is passed over noted."""
        schedule = self._declared[place]
        times = Cron(schedule.cron, schedule.tz)
        pause = self.pauses.over_schedule(place.team, place.title, now)
        found = due(times, schedule.catch_up, last, now) if pause is None else passed(times, last, now)
        assert found is not None  # its next tick is not after now
        if found.missed is not None:
            reason = str(pause) if pause is not None else MISSED
            if found.missed.count > 1:
                reason = f"{reason} ({found.missed})"
            self._note(TickRecord(place, found.missed.last, "skipped", found.missed.count, reason=reason))
        return found

    def _launch(self, place: Place, tick: datetime, now: datetime, stay: Callable[[], None]) -> int:
        """Makes a tick's run; the number of its steps. One that can't be planned is recorded with what is wrong."""
        schedule, catalog = self._declared[place], self._snapshot.catalog
        try:
            request = request_of(place, schedule, tick, catalog.jobs)
            tags = tags_of(place, schedule, tick, catalog.jobs)
            planned = plan_steps(catalog, request, now, stay)
        except HedgerowError as error:
            self._note(TickRecord(place, tick, "failed", error=error.problems[0]))
            return 0
        except Exception as error:  # a defect: it must not keep the loop from everyone else's work
            log.exception("schedule %s can't be launched", place.title)
            problem = Problem("HR-Q014", f"Planning failed: {error!r}.", "Report it with the scheduler's log.")
            self._note(TickRecord(place, tick, "failed", error=problem))
            return 0
        run = Run(self._new_id(), RunState.REQUESTED, now, request.config, tags, author_of(place))
        run.cap = run_cap(request, catalog.jobs)
        run.steps = [step_of(run, plan) for plan in planned]
        self._snapshot.changes.new_runs.append(NewRun(run, request))
        self._snapshot.start_run(run, now)
        self._note(TickRecord(place, tick, "launched", run_id=run.id))
        return len(planned)

    def _move(self, standing: Standing, last: datetime) -> None:
        place = standing.place
        assert standing.last_tick is not None  # it is on the agenda
        self._snapshot.changes.schedule_moves.append(ScheduleMove(place, standing.last_tick, last))
        self._standing[place] = Standing(*place, standing.cron, standing.tz, last)

    def _note(self, record: TickRecord) -> None:
        self._snapshot.changes.schedule_ticks.append(record)
        self._snapshot.measure("schedule_ticks", (record.place.team, record.outcome), record.ticks)
