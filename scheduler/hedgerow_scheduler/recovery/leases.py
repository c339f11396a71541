"""Recovery of attempts whose worker fell silent, with patience for the times when it was the scheduler that could not listen."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from hedgerow.errors import Problem
from hedgerow_scheduler.lifecycle.model import Attempt
from hedgerow_scheduler.lifecycle.retries import after_loss
from hedgerow_scheduler.lifecycle.states import AttemptState, StepState
from hedgerow_scheduler.planning.snapshot import Snapshot

SILENCE = timedelta(seconds=5)
CANCEL_AGAIN = timedelta(seconds=2)
STALLED = timedelta(seconds=1)  # what waits in a message behind a step that lasts longer is taken back


class Contact(msgspec.Struct):
    """Since when, and until when, a team's stream could be read to its end without a pause of over five seconds."""

    since: datetime
    until: datetime

    def read_to_end(self, now: datetime) -> None:
        """The stream was read to its end."""
        if now - self.until > SILENCE:
            self.since = now
        self.until = now

    def broken(self, now: datetime) -> None:
        """What was read can't be trusted to be all: patience starts anew."""
        self.since = self.until = now

    def allows_expiry(self, now: datetime, lease: timedelta) -> bool:
        """Whether a silent worker's lease may expire: the scheduler has listened for a whole lease and listens now."""
        return now - self.until <= SILENCE and now - self.since >= lease


def reap(
    snapshot: Snapshot, contacts: dict[str, Contact], now: datetime, lease: timedelta, worker_memory: timedelta
) -> None:
    """Takes back what no worker started in time, ends attempts whose lease expired, repeats cancellations, forgets silent workers."""
    live = snapshot.live_attempts()
    stalled = _stalled_batches(live, now)
    for attempt in live:
        if attempt.state is AttemptState.DISPATCHED:
            listening = contacts.get(attempt.step.team)
            if (
                (now > attempt.start_before or attempt.batch in stalled)
                and listening is not None
                and now - listening.until <= SILENCE
            ):
                snapshot.revoke(attempt)  # only once all was read that its worker may have said
        elif attempt.lease_until is not None and now > attempt.lease_until:
            contact = contacts.get(attempt.step.team)
            # All that its worker said before the lease was over must have been read, however long a flood of its team's takes to read.
            if contact is not None and contact.until >= attempt.lease_until and contact.allows_expiry(now, lease):
                lose(snapshot, attempt, now)
                continue
        told = attempt.told_to_cancel_at
        if attempt.step.cancelling and (told is None or now - told >= CANCEL_AGAIN):
            snapshot.press_cancellation(attempt, now)
    for key, worker in list(snapshot.workers.items()):
        if now - worker.last_seen > worker_memory:
            del snapshot.workers[key]
            snapshot.changes.gone_workers.add(key)


def _stalled_batches(live: Iterable[Attempt], now: datetime) -> set[int]:
    """The messages in which a step runs that was taken for a short one: other slots must not idle while orders wait behind it."""
    return {
        attempt.batch
        for attempt in live
        if attempt.state is AttemptState.RUNNING
        and attempt.batch
        and attempt.started_at is not None
        and now - attempt.started_at > STALLED
    }


def lose(snapshot: Snapshot, attempt: Attempt, now: datetime) -> None:
    """The attempt's lease is over: the step is tried again on the infrastructure's account. Its late outcome still counts until
    another attempt is dispatched.
    """
    step = attempt.step
    problem = Problem(
        "HR-Q025",
        f"Worker '{attempt.worker}' was not heard of for longer than its lease.",
        "Nothing to do: the step is tried again; see whether the worker's machine is well.",
    )
    attempt.lease_until = None
    snapshot.measure("leases_expired", (step.team,))
    snapshot.end_attempt(attempt, AttemptState.LOST, now, problem)
    if step.cancelling:
        snapshot.forget_attempt(attempt.id)
        snapshot.move(step, StepState.CANCELLED, now, problem)
        return
    verdict = after_loss(step.losses)
    step.losses += 1
    if verdict.state is StepState.RETRY_WAIT:
        snapshot.measure("step_retries", (step.team, step.queue, "worker_lost"))
        snapshot.wait_for_retry(step, verdict.delay, now, problem)
    else:
        snapshot.forget_attempt(attempt.id)
        snapshot.move(step, verdict.state, now, problem)


def broker_lost_data(snapshot: Snapshot, team: str, now: datetime, lease: timedelta) -> None:
    """The team's broker forgot claims and orders: nothing unstarted is taken back, and no lease ends, before every worker that
    lives could have said what it holds.
    """
    for attempt in snapshot.live_attempts():
        if attempt.step.team == team:
            attempt.start_before = max(attempt.start_before, now + 2 * lease)
            attempt.revoking = False
            if attempt.lease_until is not None:
                attempt.lease_until = now + 2 * lease
