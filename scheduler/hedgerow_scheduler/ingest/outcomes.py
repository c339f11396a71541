"""What an attempt's outputs, verdicts and end do: candidates become current or not, the step goes on or is tried again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from hedgerow.errors import Problem
from hedgerow.manifest.model import Retry
from hedgerow.protocol import events as ev
from hedgerow_scheduler.lifecycle.changes import CheckRecord
from hedgerow_scheduler.lifecycle.model import Attempt, Materialization
from hedgerow_scheduler.lifecycle.retries import ENDS_AS, Verdict, after_failure
from hedgerow_scheduler.lifecycle.states import AttemptState, MaterializationState, StepState
from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.limits.backlog import queue_of
from hedgerow_scheduler.planning.snapshot import Snapshot

MAX_DURATION_MS = 1000.0 * 86_400 * 366


class Outcomes:
    """Applies what a bound attempt reports. `noise` draws the jitter of retries."""

    def __init__(self, snapshot: Snapshot, noise: Callable[[], float]) -> None:
        self.snapshot = snapshot
        self.noise = noise

    def materialized(self, attempt: Attempt, body: ev.AssetMaterialized, now: datetime) -> None:
        """An output of the attempt's was written: a candidate until the attempt ends."""
        step = attempt.step
        output = Materialization(
            attempt.id, body.asset, step.partition or "", step.run.id, step.number, attempt.dispatch_seq,
            MaterializationState.CANDIDATE, body.reference, body.data_version, body.code_version, body.metadata, body.columns,
            now,
        )  # fmt: skip
        attempt.outputs[body.asset] = output
        self.snapshot.changes.outputs[attempt.id, body.asset] = output

    def checked(self, attempt: Attempt, body: ev.CheckEvaluated, now: datetime) -> None:
        """A check of an output of the attempt's gave its verdict; a failed blocking one of severity error rejects the candidate."""
        if body.blocking and not body.passed and body.severity == "error":
            attempt.rejected.add(body.asset)
        if body.passed:
            attempt.failed_checks.discard((body.asset, body.check))
        else:
            attempt.failed_checks.add((body.asset, body.check))
            step, told = attempt.step, body.error or body.description
            self.snapshot.happenings.add(
                "check_failed", step.team, now, (body.asset,), told, {"blocking": body.blocking},
                partition=step.partition or "", run_id=step.run.id, check=body.check, severity=body.severity,
            )  # fmt: skip
        verdict = "passed" if body.passed else "failed"
        self.snapshot.measure("asset_checks", (attempt.step.team, verdict, body.severity))
        judged = attempt.judged.attempt_id if attempt.judged is not None else None
        self.snapshot.changes.checks.append(CheckRecord(attempt.step.run.id, attempt.step.number, body, judged))
        if attempt.judged is not None:
            self.snapshot.news.checked(attempt.judged, body.check, body.passed)

    def succeeded(self, attempt: Attempt, body: ev.AttemptSucceeded, now: datetime) -> None:
        """The attempt ended well: its outputs become current, except those a blocking check rejected."""
        attempt.log = body.log
        queue = queue_of(attempt.step)
        self.snapshot.service_times[queue].took(body.duration_ms / 1000)
        self.snapshot.step_times[queue, attempt.step.computation].took(body.duration_ms / 1000)
        self._settle(attempt)
        self._end(attempt, AttemptState.SUCCEEDED, Verdict(StepState.SUCCEEDED), now, None, body.duration_ms)

    def skipped(self, attempt: Attempt, body: ev.AttemptSkipped, now: datetime) -> None:
        """The user's code declined: nothing was materialized."""
        attempt.log = body.log
        why = Problem("HR-Q022", f"Skipped: {body.why}", "Nothing to do: the asset's code asked for it.")
        self._end(attempt, AttemptState.SKIPPED, Verdict(StepState.SKIPPED), now, why, body.duration_ms)

    def failed(self, attempt: Attempt, body: ev.AttemptFailed, policy: Retry, now: datetime) -> None:
        """The attempt failed: retry, park or give up, as its reason and the budgets say."""
        attempt.log = body.log
        if body.reason == "check_failed":
            self._settle(attempt)
        step = attempt.step
        verdict = after_failure(body.reason, body.retryable, policy, step.failures, step.deaths, self.noise())
        if step.cancelling and verdict.state in (StepState.RETRY_WAIT, StepState.READY):
            verdict = Verdict(StepState.CANCELLED)
        self._end(attempt, ENDS_AS[body.reason], verdict, now, body.error, body.duration_ms)

    def _end(
        self,
        attempt: Attempt,
        state: AttemptState,
        verdict: Verdict,
        now: datetime,
        error: Problem | None,
        duration_ms: float,
    ) -> None:
        step, was_lost = attempt.step, attempt.state is AttemptState.LOST
        if attempt.started_at is not None and duration_ms > 0:
            # Start and end of a short step arrive together: the worker's own measure tells how long it took.
            began = max(attempt.dispatched_at, now - timedelta(milliseconds=min(duration_ms, MAX_DURATION_MS)))
            if began < attempt.started_at:
                step.waited_less(Cause.DISPATCH, (attempt.started_at - began).total_seconds())
                attempt.started_at = step.started_at = began
        self.snapshot.end_attempt(attempt, state, now, error)
        self.snapshot.forget_attempt(attempt.id)  # its worker has said the last word, also on a runner that died
        if was_lost and state is AttemptState.LOST:
            return
        if was_lost and verdict.state in (StepState.RETRY_WAIT, StepState.READY):
            return  # its replacement is due already
        if verdict.spends:
            setattr(step, verdict.spends, getattr(step, verdict.spends) + 1)
            self.snapshot.changes.steps[(step.run.id, step.number)] = step
        if verdict.state is StepState.RETRY_WAIT:
            reason = "user_error" if verdict.spends == "failures" else "worker_lost"
            self.snapshot.measure("step_retries", (step.team, step.queue, reason))
            self.snapshot.wait_for_retry(step, verdict.delay, now, error)
        else:
            self.snapshot.move(step, verdict.state, now, error)

    def _settle(self, attempt: Attempt) -> None:
        """Each output is worth what its blocking checks say; one that has such checks as a step of their own waits for that."""
        for asset, output in attempt.outputs.items():
            state = MaterializationState.CURRENT
            if asset in attempt.rejected:
                state = MaterializationState.REJECTED
            elif self._is_judged_later(attempt, asset):
                state = MaterializationState.UNCHECKED
            self.snapshot.settle(output, state, attempt.step.team)
            failed = {check for of, check in attempt.failed_checks if of == asset}
            self.snapshot.news.made(output, failed, state is MaterializationState.CURRENT)
        judged = attempt.judged
        if judged is not None:
            passed = MaterializationState.SUPERSEDED if attempt.judges_former else MaterializationState.CURRENT
            state = MaterializationState.REJECTED if attempt.rejected else passed
            if judged.state not in (state, MaterializationState.SUPERSEDED):
                self.snapshot.settle(judged, state, attempt.step.team)
                if state is MaterializationState.CURRENT:
                    failed = {check for _, check in attempt.failed_checks}
                    self.snapshot.news.made(judged, failed, True)

    def _is_judged_later(self, attempt: Attempt, asset: str) -> bool:
        """Whether the code that made it has a blocking check of it as a step of its own."""
        bound = self.snapshot.accepted.get(attempt.manifest_hash)
        if bound is None:
            bound = self.snapshot.catalog.published.get((attempt.step.team, attempt.step.location))
        return bound is not None and asset in bound.judged_later
