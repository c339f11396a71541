"""What one answer of a sensor launches: its runs are planned one by one over the cycles, and recorded together or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence, Set
from datetime import datetime

import msgspec

from hedgerow.errors import HedgerowError, Problem
from hedgerow.manifest.model import Sensor
from hedgerow.protocol.sensing import SensorAnswer
from hedgerow_scheduler.automation.schedules import Place
from hedgerow_scheduler.automation.sensors import author_of_sensor, request_of_run, tags_of_run
from hedgerow_scheduler.lifecycle.changes import NewRun, SensorKey
from hedgerow_scheduler.lifecycle.model import Run
from hedgerow_scheduler.lifecycle.states import RunState
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.key_changes import KeysChanged, change_keys
from hedgerow_scheduler.planning.planned import PlannedStep
from hedgerow_scheduler.planning.request import RunRequest, run_cap
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.planning.steps import plan_steps
from hedgerow_scheduler.service.requests import step_of

MAX_STEPS = 50_000  # of all runs of one evaluation: they are recorded at once
log = logging.getLogger("hedgerow.scheduler")


class Planned(msgspec.Struct, frozen=True):
    """A run that can be launched."""

    request: RunRequest
    steps: tuple[PlannedStep, ...]
    tags: dict[str, str]
    key: str


class Launch:
    """The launching of what one answer asks for. `known` are those of its dedupe keys that have a run already."""

    def __init__(self, place: Place, evaluation_id: str, answer: SensorAnswer, known: Set[str]) -> None:
        self.place, self.evaluation_id, self.answer = place, evaluation_id, answer
        seen = set(known)
        self._wanted = []
        for number, run in enumerate(answer.runs, 1):
            if run.dedupe_key and run.dedupe_key in seen:
                continue
            seen.add(run.dedupe_key)
            self._wanted.append((number, run))
        self.deduped = len(answer.runs) - len(self._wanted)
        self._planned: list[Planned] = []
        self._catalog: Catalog | None = None
        self._keys_are_added = False

    def is_planned(self, catalog: Catalog) -> bool:
        """Whether all of its runs are planned with this catalog, and `record` may follow at once."""
        if not self._is_whole() or (self._wanted and self._catalog is not catalog):
            return False
        return self._keys_are_added or not self.answer.keys

    def plan_more(self, sensor: Sensor, snapshot: Snapshot, now: datetime) -> Problem | None:
        """Plans the next run; what is wrong if it can't be. After a deploy all are planned anew.

        If partitions are changed, all are planned at once, with those that are new; these are taken back when one can't be.
        """
        if not self.answer.keys:
            return self._plan_one(sensor, snapshot.catalog, now)
        self._planned, self._catalog = [], snapshot.catalog
        added, problem = self._add_keys(snapshot, now)
        while problem is None and not self._is_whole():
            problem = self._plan_one(sensor, snapshot.catalog, now)
        self._keys_are_added = problem is None
        if problem is not None:
            for name, keys in added.items():
                self._change(snapshot, name, now, removed=keys)
        return problem

    def _add_keys(self, snapshot: Snapshot, now: datetime) -> tuple[dict[str, tuple[str, ...]], Problem | None]:
        """Adds the keys that are new, until one can't be; those that were, by set."""
        added: dict[str, tuple[str, ...]] = {}
        for part in self.answer.keys:
            found = self._change(snapshot, part.name, now, added=part.added)
            added[part.name] = (*added.get(part.name, ()), *found.added)
            if found.problem is not None:
                return added, found.problem
        return added, None

    def _change(
        self, snapshot: Snapshot, name: str, now: datetime, added: Sequence[str] = (), removed: Sequence[str] = ()
    ) -> KeysChanged:
        author = author_of_sensor(self.place)
        return change_keys(snapshot, self.place.team, name, now, added=added, removed=removed, author=author)

    def _is_whole(self) -> bool:
        return len(self._planned) == len(self._wanted)

    def _plan_one(self, sensor: Sensor, catalog: Catalog, now: datetime) -> Problem | None:
        if catalog is not self._catalog:
            self._catalog, self._planned = catalog, []
        number, run = self._wanted[len(self._planned)]
        try:
            request = request_of_run(self.place, sensor, run, catalog.jobs)
            steps = plan_steps(catalog, request, now)
        except HedgerowError as error:
            return _numbered(error.problems[0], number)
        except Exception as error:  # a defect: it must not keep the loop from everyone else's work
            log.exception("a run of sensor %s can't be planned", self.place.title)
            return Problem("HR-Q014", f"Planning failed: {error!r}.", "Report it with the scheduler's log.")
        tags = tags_of_run(self.place, sensor, run, request, self.evaluation_id, catalog.jobs)
        self._planned.append(Planned(request, steps, tags, run.dedupe_key))
        if sum(len(one.steps) for one in self._planned) > MAX_STEPS:
            message = f"The runs that one evaluation asks for come to more than {MAX_STEPS:,} steps."
            return Problem("HR-Q345", message, "Ask for fewer at once, and let the cursor say where to go on.")
        return None

    def record(self, snapshot: Snapshot, now: datetime, new_id: Callable[[], str]) -> tuple[str, ...]:
        """Makes the runs, and removes the partitions that are to go; the ids in the order in which runs were asked for."""
        ids = []
        for planned in self._planned:
            run = Run(
                new_id(), RunState.REQUESTED, now, planned.request.config, planned.tags, author_of_sensor(self.place)
            )
            run.cap = run_cap(planned.request, snapshot.catalog.jobs)
            run.steps = [step_of(run, plan) for plan in planned.steps]
            snapshot.changes.new_runs.append(NewRun(run, planned.request))
            snapshot.start_run(run, now)
            if planned.key:
                key = SensorKey(self.place.team, self.place.name, planned.key, run.id)
                snapshot.changes.sensor_keys.append(key)
            ids.append(run.id)
        for part in self.answer.keys:
            if part.removed:
                self._change(snapshot, part.name, now, removed=part.removed)
        return tuple(ids)


def _numbered(problem: Problem, number: int) -> Problem:
    return msgspec.structs.replace(problem, message=f"Run request {number}: {problem.message[:1000]}")
