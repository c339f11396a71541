"""One evaluation in the runner: call what the team's code offers, and report what came of it."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from hedgerow import clock
from hedgerow.discovery import LoadedLocation
from hedgerow.errors import ExecutionError, HedgerowError
from hedgerow.protocol.envelope import encode_body
from hedgerow.protocol.events import KIND_OF, MAX_EVALUATION_LOG_BYTES, MAX_EVENT_BYTES, Evaluated
from hedgerow.protocol.runner import Evaluate
from hedgerow.runner.attempt import Terminated
from hedgerow.runner.capture import Capture, LogHandler
from hedgerow.runner.failures import describe, problem_of, sendable
from hedgerow.runner.pipe import Events
from hedgerow.sensing import EVALUATION_LOGGER

# The envelope, and the log that the worker adds, which JSON may write six times as long.
ROOM_BYTES = MAX_EVALUATION_LOG_BYTES * 6 + 4_096


class Evaluator:
    """Evaluates what one loaded location offers, one at a time."""

    def __init__(self, location: LoadedLocation, root: Path, events: Events, capture: Capture) -> None:
        self._location, self._root, self._events, self._capture = location, root, events, capture
        logger = logging.getLogger(EVALUATION_LOGGER)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(LogHandler(capture.missing))

    def run(self, message: Evaluate) -> None:
        """Evaluates and reports it. Raises nothing but `Terminated`."""
        began = clock.monotonic()
        self._capture.begin(message.log_path)
        try:
            told = self._evaluated(message)
        except Terminated:
            raise
        except BaseException as error:  # SystemExit of the team's code ends the evaluation, not us
            told = self._failure(message, error)
        self._capture.end()
        told = msgspec.structs.replace(told, duration_ms=round((clock.monotonic() - began) * 1000))
        self._events.emit(KIND_OF[Evaluated], told)
        self._events.flush()

    def _evaluated(self, message: Evaluate) -> Evaluated:
        found = self._location.evaluables.get((message.kind, message.name))
        if found is None:
            raise ExecutionError.of(
                "HR-X002",
                f"The {message.kind} '{message.name}' is not in this location's code.",
                "Restart the team's worker so that it publishes the code it has.",
            )
        returned = found.call(message.argument)
        what = f"{message.kind.capitalize()} '{message.name}'"
        try:
            result = encode_body(returned)
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            raise ExecutionError.of(
                "HR-X007", f"{what} returned what can't be reported: {describe(error)}.", "Return plain data."
            ) from error
        if (size := len(memoryview(result))) > MAX_EVENT_BYTES - ROOM_BYTES:
            raise ExecutionError.of("HR-X007", f"{what} returned {size:,} bytes as JSON.", "Return less at once.")
        return Evaluated(message.evaluation_id, message.kind, message.name, "ok", result)

    def _failure(self, message: Evaluate, error: BaseException) -> Evaluated:
        what = f"{message.kind.capitalize()} '{message.name}'"
        problem = sendable(problem_of(error, self._root, what))
        reason = "bad_result" if isinstance(error, HedgerowError) else "user_error"
        return Evaluated(message.evaluation_id, message.kind, message.name, reason, error=problem)  # type: ignore[arg-type]
