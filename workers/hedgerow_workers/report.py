"""The events of a slot's attempts on their way to the outbox: few batches, yet no start and no outcome goes unreported for long."""

from __future__ import annotations

import msgspec

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow.protocol import events
from hedgerow_workers.attempts import Attempt, Attempts
from hedgerow_workers.outbox import Encoded, EventTooLargeError, Outbox, encode

MAX_TEXT = 32 * 1024
# Events are held back for so long at most while others follow.
HOLD_S = 0.005


class Report:
    """Collects events and hands them over; an attempt is over in `attempts` when its last event is in the outbox."""

    __slots__ = ("_attempts", "_first_at", "_outbox", "_over", "_unsent")

    def __init__(self, outbox: Outbox, attempts: Attempts) -> None:
        self._outbox = outbox
        self._attempts = attempts
        self._unsent: list[Encoded] = []
        self._over: list[Attempt] = []
        self._first_at = 0.0

    def refuse(self, attempt_id: str, why: Problem) -> None:
        """An order is not taken: it was not claimed, so that its event carries no token."""
        self._hold(encode(events.AttemptFailed(attempt_id, "refused", why)))

    def started(self, attempt: Attempt) -> None:
        """A runner has begun with the attempt, or it ends without one: a first event every attempt has."""
        order = attempt.order
        self._hold(encode(events.AttemptStarted(order.attempt_id, attempt.token, order.run_id, order.step)))

    def add(self, attempt: Attempt, event: events.Event) -> None:
        """One more event. One that is too large to be sent is left out, and the attempt can't succeed any more."""
        try:
            self._hold(encode(event))
        except EventTooLargeError as error:
            attempt.too_large = Problem(
                "HR-X106",
                f"An event '{events.KIND_OF[type(event)]}' of the step is too large to be reported: {error}, at most {events.MAX_EVENT_BYTES // 1024} KiB.",
                "Make the metadata smaller: store large values as an asset, and report where they are.",
            )

    def end(
        self,
        attempt: Attempt,
        event: events.AttemptSucceeded | events.AttemptFailed | events.AttemptSkipped,
        log: str,
    ) -> None:
        """The runner's last word, with the URL of the attempt's log."""
        if isinstance(event, events.AttemptFailed):
            event = msgspec.structs.replace(event, error=_shortened(event.error))
        elif attempt.too_large is not None:
            self._fail(attempt, "user_error", attempt.too_large, log, retryable=False)
            return
        elif isinstance(event, events.AttemptSkipped) and len(event.why) > MAX_TEXT:
            event = msgspec.structs.replace(event, why=event.why[:MAX_TEXT])
        self.add(attempt, msgspec.structs.replace(event, log=log) if log else event)
        self._over.append(attempt)

    def fail(
        self,
        attempt: Attempt,
        reason: events.FailureReason,
        error: Problem,
        *,
        log: str = "",
    ) -> None:
        """The attempt ended without success, and not by the runner's word."""
        self._fail(attempt, reason, error, log, retryable=True)

    def flush(self) -> None:
        """Hands over what there is."""
        if self._unsent:
            number = self._outbox.put(self._unsent)
            self._unsent = []
            over, self._over = self._over, []
            self._attempts.report(over, number)

    def flush_if_due(self, now: float) -> None:
        """Hands over what there is if some of it has been held back for `HOLD_S`."""
        if self._unsent and now - self._first_at >= HOLD_S:
            self.flush()

    def _hold(self, encoded: Encoded) -> None:
        if not self._unsent:
            self._first_at = clock.monotonic()
        self._unsent.append(encoded)

    def _fail(
        self, attempt: Attempt, reason: events.FailureReason, error: Problem, log: str, *, retryable: bool
    ) -> None:
        lasted = 0.0 if attempt.started_at is None else (clock.monotonic() - attempt.started_at) * 1000
        self.add(
            attempt,
            events.AttemptFailed(
                attempt.order.attempt_id, reason, _shortened(error), attempt.token, retryable, round(lasted, 3), log
            ),
        )
        self._over.append(attempt)


def _shortened(problem: Problem) -> Problem:
    """The same with texts that fit into one event: the start of the message, the end of the traceback."""
    traceback = problem.traceback
    if len(problem.message) <= MAX_TEXT and (traceback is None or len(traceback) <= MAX_TEXT):
        return problem
    return msgspec.structs.replace(
        problem, message=problem.message[:MAX_TEXT], traceback=traceback[-MAX_TEXT:] if traceback else None
    )
