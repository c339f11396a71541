"""What follows when an attempt ends without success: pure decisions over the step's budgets."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from hedgerow.manifest.model import Retry
from hedgerow.protocol.events import FailureReason
from hedgerow_scheduler.lifecycle.states import AttemptState, StepState

INFRASTRUCTURE_RETRIES = 5
POISON_DEATHS = 3
LOST_DELAY = timedelta(0)

ENDS_AS: dict[FailureReason, AttemptState] = {
    "user_error": AttemptState.FAILED,
    "timed_out": AttemptState.TIMED_OUT,
    "check_failed": AttemptState.FAILED,
    "bad_order": AttemptState.FAILED,
    "runner_lost": AttemptState.LOST,
    "interrupted": AttemptState.INTERRUPTED,
    "refused": AttemptState.REFUSED,
    "cancelled": AttemptState.CANCELLED,
}


class Verdict(msgspec.Struct, frozen=True):
    """The step's next state, after which delay if it is `retry_wait`, and which budget the attempt spent."""

    state: StepState
    delay: timedelta = timedelta(0)
    spends: str = ""


def after_failure(
    reason: FailureReason, retryable: bool, policy: Retry, failures: int, deaths: int, noise: float
) -> Verdict:
    """The verdict on an attempt that failed for `reason`; the counts are those before it. `noise` in [0, 1) spreads the retries.

    User errors and timeouts spend the asset's own retries; a lost worker or runner one of five of the infrastructure's, and the
    third death of a runner parks the step; a drain or a refusal costs nothing.
    """
    if reason in ("user_error", "timed_out"):
        if retryable and failures < policy.attempts:
            return Verdict(StepState.RETRY_WAIT, retry_delay(policy, failures, noise), "failures")
        return Verdict(StepState.FAILED, spends="failures")
    if reason == "runner_lost":
        if deaths + 1 >= POISON_DEATHS:
            return Verdict(StepState.POISONED, spends="deaths")
        return Verdict(StepState.RETRY_WAIT, LOST_DELAY, "deaths")
    if reason in ("interrupted", "refused"):
        return Verdict(StepState.READY)
    if reason == "cancelled":
        return Verdict(StepState.CANCELLED)
    return Verdict(StepState.FAILED)


def after_loss(losses: int) -> Verdict:
    """The verdict on an attempt whose lease expired."""
    if losses < INFRASTRUCTURE_RETRIES:
        return Verdict(StepState.RETRY_WAIT, LOST_DELAY, "losses")
    return Verdict(StepState.FAILED, spends="losses")


def retry_delay(policy: Retry, failures: int, noise: float) -> timedelta:
    """How long to wait before the retry after `failures` earlier ones: the policy's delay, grown, capped, then spread over
    the half below it.

    >>> retry_delay(Retry(5, delay_ms=1000, jitter=False), 3, 0.0)
    datetime.timedelta(seconds=8)
    """
    growth = {"constant": 1, "linear": failures + 1, "exponential": 2 ** min(failures, 30)}[policy.backoff]
    delay_ms = min(policy.delay_ms * growth, policy.max_delay_ms)
    return timedelta(milliseconds=delay_ms * (0.5 + 0.5 * noise) if policy.jitter else delay_ms)
