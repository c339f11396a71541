"""Every state of a backfill and of a partition in it, and every arrow between them: one table each, nowhere else."""

from __future__ import annotations

from enum import StrEnum

from hedgerow_scheduler.lifecycle.states import StepState


class BackfillState(StrEnum):
    """Where a backfill stands."""

    REQUESTED = "requested"  # written by the API with its partitions; the scheduler has not taken it up yet
    CANARY = "canary"  # only its first partitions are launched
    RUNNING = "running"  # partitions are launched as limits let it
    PAUSED = "paused"  # nothing more is launched until it is resumed; what is out goes on
    ABORTING = "aborting"  # too many failed: nothing more is launched, what is out goes on to its end
    CANCELLING = "cancelling"  # someone asked for it: nothing more is launched, what is out is being stopped
    SUCCEEDED = "succeeded"  # every partition was made, or skipped by its code
    FAILED = "failed"  # all was tried, and some partition failed
    CANCELLED = "cancelled"  # someone cancelled it, or of what was tried nothing failed and something was cancelled
    ABORTED = "aborted"  # too many failed


class PartitionState(StrEnum):
    """Where a partition of an asset stands in a backfill."""

    TO_DO = "to_do"  # not launched yet
    LAUNCHED = "launched"  # a run that makes it is recorded, and its step has not ended
    DONE = "done"  # its step succeeded
    FAILED = "failed"  # its step failed
    UPSTREAM_FAILED = "upstream_failed"  # what it is made from failed or was cancelled in this backfill
    SKIPPED = "skipped"  # its code declined, or that of what it is made from
    CANCELLED = "cancelled"  # its step was cancelled


B = BackfillState
P = PartitionState

# from → to: who moves it, and what it means.
BACKFILL_ARROWS: dict[tuple[BackfillState, BackfillState], str] = {
    (B.REQUESTED, B.CANARY): "scheduler: taken up, to begin with a canary",
    (B.REQUESTED, B.RUNNING): "scheduler: taken up",
    (B.CANARY, B.RUNNING): "planning: few enough of the canary failed",
    (B.CANARY, B.PAUSED): "command: pause",
    (B.RUNNING, B.PAUSED): "command: pause",
    (B.PAUSED, B.CANARY): "command: resume, the canary is not over",
    (B.PAUSED, B.RUNNING): "command: resume",
    (B.CANARY, B.ABORTING): "planning: too many of the canary failed",
    (B.RUNNING, B.ABORTING): "planning: too many failed",
    (B.PAUSED, B.ABORTING): "planning: too many of what was out failed",
    (B.CANARY, B.CANCELLING): "command: cancel",
    (B.RUNNING, B.CANCELLING): "command: cancel",
    (B.PAUSED, B.CANCELLING): "command: cancel",
    (B.ABORTING, B.CANCELLING): "command: cancel, also what is out",
    (B.CANARY, B.SUCCEEDED): "planning: the canary was all of it",
    (B.CANARY, B.FAILED): "planning: the canary was all of it, and some failed",
    (B.CANARY, B.CANCELLED): "planning: the canary was all of it, and some were cancelled",
    (B.RUNNING, B.SUCCEEDED): "planning: nothing is left",
    (B.RUNNING, B.FAILED): "planning: nothing is left, and some failed",
    (B.RUNNING, B.CANCELLED): "planning: nothing is left, and some were cancelled",
    (B.PAUSED, B.SUCCEEDED): "planning: what was out when it was paused was the rest of it",
    (B.PAUSED, B.FAILED): "planning: the same, and some failed",
    (B.PAUSED, B.CANCELLED): "planning: the same, and some were cancelled",
    (B.ABORTING, B.ABORTED): "planning: nothing is out any more",
    (B.CANCELLING, B.CANCELLED): "planning: nothing is out any more",
    (B.FAILED, B.RUNNING): "command: retry",
    (B.FAILED, B.CANARY): "command: retry, the canary is not over",
    (B.CANCELLED, B.RUNNING): "command: retry",
    (B.CANCELLED, B.CANARY): "command: retry, the canary is not over",
    (B.ABORTED, B.RUNNING): "command: retry",
    (B.ABORTED, B.CANARY): "command: retry, the canary is not over",
}

PARTITION_ARROWS: dict[tuple[PartitionState, PartitionState], str] = {
    (P.TO_DO, P.LAUNCHED): "planning: its run is recorded together with this",
    (P.TO_DO, P.FAILED): "planning: no run can make it: its definition has changed, or is gone",
    (P.TO_DO, P.UPSTREAM_FAILED): "planning: what it is made from failed or was cancelled",
    (P.TO_DO, P.SKIPPED): "planning: what it is made from was skipped",
    (P.LAUNCHED, P.DONE): "fold: its step succeeded",
    (P.LAUNCHED, P.FAILED): "fold: its step failed, or is parked",
    (P.LAUNCHED, P.UPSTREAM_FAILED): "fold: its step was told that one above it in the run failed",
    (P.LAUNCHED, P.SKIPPED): "fold: its step was skipped",
    (P.LAUNCHED, P.CANCELLED): "fold: its step was cancelled",
    (P.FAILED, P.TO_DO): "command: retry",
    (P.UPSTREAM_FAILED, P.TO_DO): "command: retry",
    (P.CANCELLED, P.TO_DO): "command: retry",
    (P.FAILED, P.LAUNCHED): "command: its run is retried by itself",
    (P.UPSTREAM_FAILED, P.LAUNCHED): "command: its run is retried by itself",
    (P.CANCELLED, P.LAUNCHED): "command: its run is retried by itself",
}

ENDED_BACKFILLS = frozenset({B.SUCCEEDED, B.FAILED, B.CANCELLED, B.ABORTED})
RETRYABLE_BACKFILLS = frozenset({B.FAILED, B.CANCELLED, B.ABORTED})
LAUNCHING = frozenset({B.CANARY, B.RUNNING})
GOING_ON = LAUNCHING | {B.PAUSED}  # what is to do will be made
RETRYABLE_PARTITIONS = (P.FAILED, P.UPSTREAM_FAILED, P.CANCELLED)

# What the end of a step means for its partition.
OF_STEP: dict[StepState, PartitionState] = {
    StepState.SUCCEEDED: P.DONE,
    StepState.FAILED: P.FAILED,
    StepState.POISONED: P.FAILED,
    StepState.UPSTREAM_FAILED: P.UPSTREAM_FAILED,
    StepState.SKIPPED: P.SKIPPED,
    StepState.CANCELLED: P.CANCELLED,
}
