"""Every state of steps, attempts, runs and materializations, and every arrow between them: one table each, nowhere else."""

from __future__ import annotations

from enum import StrEnum


class StepState(StrEnum):
    """Where a step stands."""

    WAITING = "waiting"  # some upstream step of the run has not ended
    READY = "ready"  # admission may take it
    DISPATCHED = "dispatched"  # an attempt is recorded and its order is on the way
    RUNNING = "running"  # a worker holds the claim
    RETRY_WAIT = "retry_wait"  # a retry comes when not_before has passed
    SUCCEEDED = "succeeded"  # its outputs are recorded, or those that were are unchanged
    FAILED = "failed"  # no retry is left, or none would help
    CANCELLED = "cancelled"  # someone asked for it, or a step above was cancelled
    SKIPPED = "skipped"  # the asset's code declined, or a step above was skipped
    UPSTREAM_FAILED = "upstream_failed"  # a step above failed, so that this one never started
    POISONED = "poisoned"  # killed its runner three times: parked until someone looks


class AttemptState(StrEnum):
    """Where one try of a step stands."""

    DISPATCHED = "dispatched"  # recorded; no worker has said yet that it holds the claim
    RUNNING = "running"  # a worker holds the claim, under a lease
    SUCCEEDED = "succeeded"  # every output was written
    SKIPPED = "skipped"  # the asset's code declined
    FAILED = "failed"  # the asset's code raised, a blocking check failed, or the order did not fit
    TIMED_OUT = "timed_out"  # it ran past its timeout
    LOST = "lost"  # its lease expired, or its runner died
    CANCELLED = "cancelled"  # stopped because the scheduler asked
    INTERRUPTED = "interrupted"  # its worker left on purpose
    REFUSED = "refused"  # no worker may start it any more: the claim was taken by the scheduler
    SUPERSEDED = "superseded"  # replaced without an answer, after the broker lost data


class RunState(StrEnum):
    """Where a run stands."""

    REQUESTED = "requested"  # written by the API, not planned yet
    RUNNING = "running"  # some step has not ended
    SUCCEEDED = "succeeded"  # every step succeeded or was skipped
    FAILED = "failed"  # some step failed, or the request could not be planned
    CANCELLED = "cancelled"  # some step was cancelled and none failed


class MaterializationState(StrEnum):
    """What a recorded output is worth."""

    CANDIDATE = "candidate"  # its attempt has not ended
    UNCHECKED = "unchecked"  # written, and a blocking check has a step of its own that has not passed yet
    CURRENT = "current"  # what downstream reads
    SUPERSEDED = "superseded"  # a later one is current
    REJECTED = "rejected"  # a blocking check failed
    DISCARDED = "discarded"  # its attempt ended without success


S = StepState

# from → to: who moves it, and what it means.
STEP_ARROWS: dict[tuple[StepState, StepState], str] = {
    (S.WAITING, S.READY): "planning: every upstream step succeeded",
    (S.WAITING, S.UPSTREAM_FAILED): "fold: an upstream step ended without success",
    (S.WAITING, S.SKIPPED): "fold: an upstream step was skipped",
    (S.WAITING, S.CANCELLED): "command: cancel",
    (S.READY, S.DISPATCHED): "admission: every limit granted",
    (S.READY, S.FAILED): "admission: the definition vanished, or an input can't be had",
    (S.READY, S.CANCELLED): "command: cancel",
    (S.DISPATCHED, S.RUNNING): "fold: attempt_started bound the token",
    (S.DISPATCHED, S.READY): "recovery: the claim was revoked unstarted",
    (S.DISPATCHED, S.CANCELLED): "recovery: the claim was revoked for a cancellation",
    (S.DISPATCHED, S.SUCCEEDED): "fold: started and succeeded within one batch of events",
    (S.DISPATCHED, S.FAILED): "fold: started and failed within one batch",
    (S.DISPATCHED, S.SKIPPED): "fold: started and skipped within one batch",
    (
        S.DISPATCHED,
        S.RETRY_WAIT,
    ): "fold: started and failed within one batch, a retry is left; recovery: refused by a worker",
    (S.DISPATCHED, S.POISONED): "fold: started and killed its runner within one batch",
    (S.RUNNING, S.SUCCEEDED): "fold: attempt_succeeded",
    (S.RUNNING, S.FAILED): "fold: attempt_failed without a retry left",
    (S.RUNNING, S.SKIPPED): "fold: attempt_skipped",
    (S.RUNNING, S.CANCELLED): "fold: attempt_failed after a cancellation, or recovery: its worker is gone",
    (S.RUNNING, S.RETRY_WAIT): "fold: attempt_failed with a retry left; recovery: the lease expired",
    (S.RUNNING, S.READY): "fold: interrupted by a drain",
    (S.RUNNING, S.POISONED): "fold: killed its runner for the third time",
    (S.RETRY_WAIT, S.READY): "planning: not_before has passed",
    (S.RETRY_WAIT, S.SUCCEEDED): "fold: an attempt whose lease had expired succeeded before it was replaced",
    (S.RETRY_WAIT, S.SKIPPED): "fold: the same, it skipped",
    (S.RETRY_WAIT, S.FAILED): "fold: the same, it failed for good",
    (S.RETRY_WAIT, S.POISONED): "fold: the same, it killed its runner for the third time",
    (S.READY, S.SUCCEEDED): "fold: as from retry_wait; dispatch: what it would make is unchanged (`skip_unchanged`)",
    (S.READY, S.SKIPPED): "fold: as from retry_wait; dispatch: nothing is stored that it could check",
    (S.READY, S.POISONED): "fold: as from retry_wait",
    (S.RETRY_WAIT, S.CANCELLED): "command: cancel",
    (S.FAILED, S.READY): "command: retry",
    (S.FAILED, S.WAITING): "command: retry, together with upstream steps",
    (S.UPSTREAM_FAILED, S.READY): "command: retry, the upstream has succeeded meanwhile",
    (S.UPSTREAM_FAILED, S.WAITING): "command: retry, together with upstream steps",
    (S.CANCELLED, S.READY): "command: retry",
    (S.CANCELLED, S.WAITING): "command: retry, together with upstream steps",
    (S.POISONED, S.READY): "command: retry",
    (S.POISONED, S.WAITING): "command: retry, together with upstream steps",
}

ENDED = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.SKIPPED, S.UPSTREAM_FAILED, S.POISONED})
LIVE = frozenset(S) - ENDED
HELD = frozenset({S.DISPATCHED, S.RUNNING})  # an attempt is out: limits and the asset lock are taken
RETRYABLE = frozenset({S.FAILED, S.UPSTREAM_FAILED, S.CANCELLED, S.POISONED})
ATTEMPT_LIVE = frozenset({AttemptState.DISPATCHED, AttemptState.RUNNING})


def may_move(before: StepState, after: StepState) -> bool:
    """Whether the table has this arrow."""
    return (before, after) in STEP_ARROWS


def run_state_of(states: dict[StepState, int], cancel_requested: bool) -> RunState:
    """A run's state from how many of its steps stand where; a run without steps succeeded.

    Failed beats cancelled, so that a failure is never hidden by the cancellation that followed it.
    """
    if any(states.get(state) for state in LIVE):
        return RunState.RUNNING
    if states.get(S.FAILED) or states.get(S.POISONED) or states.get(S.UPSTREAM_FAILED):
        return RunState.FAILED
    if states.get(S.CANCELLED) or cancel_requested:
        return RunState.CANCELLED
    return RunState.SUCCEEDED
