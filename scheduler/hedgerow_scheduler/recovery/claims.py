"""Recovery of attempts nobody started: what the answer to taking a claim means."""

from __future__ import annotations

from datetime import datetime, timedelta

from hedgerow.errors import Problem
from hedgerow_scheduler.ingest.fold import bind
from hedgerow_scheduler.lifecycle.states import AttemptState, StepState
from hedgerow_scheduler.planning.snapshot import Snapshot

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=30)


def claim_answered(snapshot: Snapshot, attempt_id: str, holder: str | None, now: datetime, lease: timedelta) -> None:
    """The scheduler holds the claim (`holder` None): the attempt is over, unstarted, and costs the step nothing. Otherwise a
    worker was quicker: the attempt runs, under a lease that begins now.
    """
    attempt = snapshot.attempts.get(attempt_id)
    if attempt is None or attempt.state is not AttemptState.DISPATCHED or not attempt.revoking:
        return  # or the broker has lost data since it was asked: then the answer means nothing
    attempt.revoking = False
    if holder is not None:
        bind(snapshot, attempt, holder.partition(":")[0], holder, now, lease)
        return
    step = attempt.step
    refused = attempt.error
    problem = refused or Problem(
        "HR-Q024", "No worker started the attempt in time.", "Nothing to do: the step is dispatched again."
    )
    snapshot.end_attempt(attempt, AttemptState.REFUSED, now, problem)
    if step.cancelling:
        snapshot.move(step, StepState.CANCELLED, now)
    elif refused:  # by a worker that may refuse the next one as quickly: slower each time
        delay = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(step.attempt - 1, 10))
        snapshot.wait_for_retry(step, delay, now, problem)
    else:
        snapshot.move(step, StepState.READY, now)


def claim_unanswered(snapshot: Snapshot, attempt_id: str) -> None:
    """The broker did not answer: it is asked again at the next look."""
    attempt = snapshot.attempts.get(attempt_id)
    if attempt is not None:
        attempt.revoking = False
