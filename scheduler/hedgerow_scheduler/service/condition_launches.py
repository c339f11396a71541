"""Launching what conditions request: a turn's requests become runs, over as many cycles as that takes, and are then recorded."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec
from pyroaring import BitMap

from hedgerow import clock
from hedgerow.errors import HedgerowError, RequestError
from hedgerow_scheduler.automation.engine import Engine
from hedgerow_scheduler.automation.facts import EMPTY
from hedgerow_scheduler.automation.grouping import Requests, named, runs_of
from hedgerow_scheduler.automation.turns import Evaluated, Outcome
from hedgerow_scheduler.lifecycle.changes import EvaluationRecord, NewRun
from hedgerow_scheduler.lifecycle.model import Run
from hedgerow_scheduler.lifecycle.states import RunState
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.request import RunRequest
from hedgerow_scheduler.planning.snapshot import Snapshot
from hedgerow_scheduler.planning.steps import plan_exactly
from hedgerow_scheduler.service.requests import step_of

AUTHOR = "automation"
MOST_REQUESTED = 50_000
"""Partitions that one run of conditions makes: planning them holds the loop for a good half second. More are for a backfill."""
SHOWN = 20  # partitions of a request that are recorded by name
log = logging.getLogger("hedgerow.scheduler")


class ConditionLaunches:
    """One turn's requests at a time. `waits_for(key)` says for which answers of its team's own code an asset waits, "" for none."""

    def __init__(
        self, snapshot: Snapshot, engine: Engine, new_id: Callable[[], str], waits_for: Callable[[str], str]
    ) -> None:
        self._snapshot, self._engine, self._new_id, self._waits_for = snapshot, engine, new_id, waits_for
        self._catalog = Catalog()
        self._outcome: Outcome | None = None
        self._groups: deque[Mapping[str, BitMap]] = deque()
        self._runs: dict[str, str] = {}
        self._problems: dict[str, str] = {}

    def is_under_way(self) -> bool:
        """Whether a turn's requests are not all launched and recorded: until then what the conditions remember of it must not be stored."""
        return self._outcome is not None

    def begin(self, catalog: Catalog, outcome: Outcome) -> None:
        """A turn has come to its end."""
        self._catalog, self._outcome = catalog, outcome
        self._groups.extend(runs_of(catalog, outcome.requests))
        self._runs, self._problems = {}, {}

    def go_on(self, now: datetime, until: float) -> Outcome | None:
        """Launches runs, at least one, until `clock.monotonic` is at `until`; the outcome once everything is launched and recorded."""
        while self._groups:
            self._launch(self._groups.popleft(), now)
            if self._groups and clock.monotonic() > until:
                return None
        outcome, self._outcome = self._outcome, None
        if outcome is None:
            return None
        for each in outcome.evaluated:
            problem = self._problems.get(each.key, each.problem)
            found = msgspec.structs.replace(each, problem=problem or self._waits_for(each.key))
            self._record(found, outcome.requests.get(each.key, EMPTY), self._runs.get(each.key))
            if problem:
                self._snapshot.measure("conditions_broken", (self._team(each.key),))
        return outcome

    def _launch(self, group: Mapping[str, BitMap], now: datetime) -> None:
        try:
            if (number := sum(map(len, group.values()))) > MOST_REQUESTED:
                raise RequestError.of(
                    "HR-Q006",
                    f"{number:,} partitions are requested at once; conditions launch at most {MOST_REQUESTED:,}.",
                    "Let the condition look at fewer windows, and make the others by a backfill.",
                )
            self._runs |= dict.fromkeys(group, self._run(named(self._engine, group), now))
            for key, which in group.items():
                self._snapshot.measure("conditions_requested", (self._team(key),), len(which))
        except Exception as error:  # too large, or a defect: it must not keep the loop from everyone else's work
            expected = isinstance(error, HedgerowError)
            log.warning("no run of %s: %s", ", ".join(sorted(group)[:SHOWN]), error, exc_info=not expected)
            says = error.problems[0].message if isinstance(error, HedgerowError) else repr(error)
            self._problems |= dict.fromkeys(group, f"What it requests can't be planned: {says}")

    def _run(self, group: Requests, now: datetime) -> str:
        """Makes a run of these; its id."""
        keys = {key for partitions in group.values() for key in partitions if key is not None}
        request = RunRequest(tuple(sorted(group)), tuple(sorted(keys)))
        planned = plan_exactly(self._catalog, group, now)
        run = Run(self._new_id(), RunState.REQUESTED, now, request.config, {"automation": "condition"}, AUTHOR)
        run.steps = [step_of(run, plan) for plan in planned]
        self._snapshot.changes.new_runs.append(NewRun(run, request))
        self._snapshot.start_run(run, now)
        return run.id

    def _team(self, key: str) -> str:
        return self._engine.declared.automated[key].team

    def _record(self, each: Evaluated, requested: BitMap, run_id: str | None) -> None:
        automated = self._engine.declared.automated[each.key]
        key_of = self._engine.facts[each.key].space.key
        names = tuple(key_of(number) or "" for number in requested[:SHOWN])
        changes = self._snapshot.changes.evaluations
        for kind in ("latest", "requested") if requested else ("latest",):
            changes[each.key, kind] = EvaluationRecord(
                each.key, kind, each.at, automated.program.digest, each.findings, names, len(requested), each.problem, run_id
            )  # fmt: skip
