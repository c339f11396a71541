"""The events of one attempt on their way to the outbox: few batches, yet no start goes unreported for long."""

from __future__ import annotations

import msgspec

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow.protocol import events
from hedgerow_workers.attempts import Attempt
from hedgerow_workers.outbox import Encoded, EventTooLargeError, Outbox, encode

MAX_TEXT = 32 * 1024


class Report:
    """Collects the events of an attempt and hands them over; `number` is then that of the last one in the outbox."""

    __slots__ = ("_attempt", "_outbox", "_too_large", "number", "started_at", "unsent")

    def __init__(self, attempt: Attempt, outbox: Outbox) -> None:
        self._attempt = attempt
        self._outbox = outbox
        self._too_large: Problem | None = None
        self.unsent: list[Encoded] = []
        self.started_at: float | None = None
        self.number = 0

    def add(self, event: events.Event) -> None:
        """One more event. One that is too large to be sent is left out, and the attempt can't succeed any more."""
        try:
            self.unsent.append(encode(event))
        except EventTooLargeError as error:
            self._too_large = Problem(
                "HR-X106",
                f"An event '{events.KIND_OF[type(event)]}' of the step is too large to be reported: {error}, at most {events.MAX_EVENT_BYTES // 1024} KiB.",
                "Make the metadata smaller: store large values as an asset, and report where they are.",
            )

    def flush(self) -> None:
        """Hands over what there is."""
        if self.unsent:
            self.number = self._outbox.put(self.unsent)
            self.unsent = []

    def end(self, event: events.AttemptSucceeded | events.AttemptFailed | events.AttemptSkipped, log: str) -> None:
        """The runner's last word, with the URL of the attempt's log."""
        if isinstance(event, events.AttemptFailed):
            event = msgspec.structs.replace(event, error=_shortened(event.error))
        elif self._too_large is None and isinstance(event, events.AttemptSkipped) and len(event.why) > MAX_TEXT:
            event = msgspec.structs.replace(event, why=event.why[:MAX_TEXT])
        if self._too_large is not None and not isinstance(event, events.AttemptFailed):
            self._fail("user_error", self._too_large, log, retryable=False)
            return
        self.add(msgspec.structs.replace(event, log=log) if log else event)
        self.flush()

    def fail(
        self,
        reason: events.FailureReason,
        code: str,
        message: str,
        remedy: str,
        *,
        log: str = "",
        traceback: str | None = None,
    ) -> None:
        """The attempt ended without success, and not by the runner's word."""
        self._fail(reason, Problem(code, message, remedy, traceback=traceback), log, retryable=True)

    def _fail(self, reason: events.FailureReason, error: Problem, log: str, *, retryable: bool) -> None:
        attempt = self._attempt
        lasted = 0.0 if self.started_at is None else (clock.monotonic() - self.started_at) * 1000
        self.add(
            events.AttemptFailed(
                attempt.order.attempt_id, reason, _shortened(error), attempt.token, retryable, round(lasted, 3), log
            )
        )
        self.flush()


def _shortened(problem: Problem) -> Problem:
    """The same with texts that fit into one event: the start of the message, the end of the traceback."""
    traceback = problem.traceback
    if len(problem.message) <= MAX_TEXT and (traceback is None or len(traceback) <= MAX_TEXT):
        return problem
    return msgspec.structs.replace(
        problem, message=problem.message[:MAX_TEXT], traceback=traceback[-MAX_TEXT:] if traceback else None
    )
