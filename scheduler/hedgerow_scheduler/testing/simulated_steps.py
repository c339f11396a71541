"""Steps that nobody runs: they start when they are ready and end after a given time, as told."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count

from hedgerow.errors import Problem
from hedgerow.manifest.model import Check, Computation, Retry
from hedgerow.protocol import events as ev
from hedgerow_scheduler.ingest.outcomes import Outcomes
from hedgerow_scheduler.lifecycle.judging import is_judging
from hedgerow_scheduler.lifecycle.model import Attempt, Materialization, Step
from hedgerow_scheduler.lifecycle.states import AttemptState, StepState
from hedgerow_scheduler.planning.snapshot import Snapshot

HALF = 0.5  # of the jitter of retries


class SimulatedSteps:
    """Carries out the steps of a snapshot. `takes(asset key)` is how long the steps of an asset take.

    `failures` counts how often steps of an asset are still to fail (-1: always), `failing_checks` holds the (asset, check) pairs that
    fail, `unchanged` the assets that come out with the data they had.
    """

    def __init__(self, snapshot: Snapshot, takes: Callable[[str], timedelta]) -> None:
        self._snapshot, self._takes = snapshot, takes
        self._outcomes = Outcomes(snapshot, lambda: HALF)
        self._ends: list[tuple[datetime, int, Attempt]] = []
        self._numbers = count(1)
        self._versions: dict[tuple[str, str], str] = {}
        self._outputs: dict[tuple[str, str], Materialization] = {}
        self.failures: Counter[str] = Counter()
        self.failing_checks: set[tuple[str, str]] = set()
        self.unchanged: set[str] = set()

    def next_end(self) -> datetime | None:
        """When the next step ends."""
        return self._ends[0][0] if self._ends else None

    def start(self, now: datetime) -> int:
        """Starts what is ready, unless another step makes the same just now; how many."""
        ready = [
            step
            for run in self._snapshot.runs.values()
            for step in run.steps
            if step.state is StepState.READY and not any(lock in self._snapshot.locks for lock in step.locks())
        ]
        for step in ready:
            if not any(lock in self._snapshot.locks for lock in step.locks()):
                self._start(step, now)
        return len(ready)

    def end(self, now: datetime) -> int:
        """Ends what is due; how many."""
        ended = 0
        while self._ends and self._ends[0][0] <= now:
            self._end(heapq.heappop(self._ends)[2], now)
            ended += 1
        return ended

    def _start(self, step: Step, now: datetime) -> None:
        number = next(self._numbers)
        step.attempt += 1
        step.attempt_id = f"attempt {number}"
        attempt = Attempt(
            step.attempt_id, step, step.attempt, number, AttemptState.RUNNING, AttemptState.RUNNING, "", now, now, started_at=now
        )  # fmt: skip
        if is_judging(step.computation):
            attempt.judged = self._outputs.get(step.locks()[0])
        self._snapshot.attempts[attempt.id] = attempt
        self._snapshot.lock(step, attempt.id)
        self._snapshot.move(step, StepState.DISPATCHED, now)
        self._snapshot.move(step, StepState.RUNNING, now)
        took = max(self._takes(asset) for asset in step.assets)
        heapq.heappush(self._ends, (now + took, number, attempt))

    def _end(self, attempt: Attempt, now: datetime) -> None:
        step = attempt.step
        if attempt.id not in self._snapshot.attempts or step.state is not StepState.RUNNING:
            return
        computation = self._computation(step)
        if (failing := next((asset for asset in step.assets if self.failures[asset]), None)) is not None:
            self.failures[failing] -= self.failures[failing] > 0
            self._fail(attempt, "user_error", "It was told to fail.", computation, now)
            return
        judges = is_judging(step.computation)
        if judges:
            self._check(attempt, step.assets[0], now)
        for asset in () if judges else step.assets:
            version = computation.code_version if computation else ""
            made = ev.AssetMaterialized(
                attempt.id, asset, partition=step.partition, data_version=self._data_version(asset, step.partition, attempt),
                code_version=version,
            )  # fmt: skip
            self._outcomes.materialized(attempt, made, now)
            self._outputs[asset, step.partition or ""] = attempt.outputs[asset]
            self._check(attempt, asset, now)
        if attempt.rejected:
            self._fail(attempt, "check_failed", "A blocking check was told to fail.", computation, now)
        else:
            self._outcomes.succeeded(attempt, ev.AttemptSucceeded(attempt.id), now)

    def _check(self, attempt: Attempt, asset: str, now: datetime) -> None:
        declared, step = self._snapshot.catalog.assets.get(asset), attempt.step
        checks: Sequence[Check] = [check for check in declared.checks if not check.own_step] if declared else ()
        if declared and is_judging(step.computation):
            checks = declared.judging(after_step=bool(step.upstream))
        for check in checks:
            passed = (asset, check.name) not in self.failing_checks
            verdict = ev.CheckEvaluated(
                attempt.id, asset, check.name, passed, blocking=check.blocking, severity=check.severity
            )
            self._outcomes.checked(attempt, verdict, now)

    def _fail(
        self, attempt: Attempt, reason: ev.FailureReason, why: str, computation: Computation | None, now: datetime
    ) -> None:
        problem = Problem("HR-X001", why, "Nothing: this is a simulation.")
        policy = computation.retry if computation else Retry()
        self._outcomes.failed(attempt, ev.AttemptFailed(attempt.id, reason, problem), policy, now)

    def _data_version(self, asset: str, partition: str | None, attempt: Attempt) -> str:
        place = (asset, partition or "")
        if asset not in self.unchanged or place not in self._versions:
            self._versions[place] = f"data of {attempt.id}"
        return self._versions[place]

    def _computation(self, step: Step) -> Computation | None:
        return self._snapshot.declared(step.team, step.location, step.computation)
