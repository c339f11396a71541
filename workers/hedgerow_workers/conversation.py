"""A portion of attempts given to one runner, which takes them one after another: what is sent, heard and made of it."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

import msgspec

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow.protocol import events
from hedgerow.protocol.envelope import Envelope
from hedgerow.protocol.logs import decode_gap
from hedgerow.protocol.runner import Execute, Withdraw, Withdrawn
from hedgerow_workers.attempts import Attempt, Stop
from hedgerow_workers.logs import LogStore
from hedgerow_workers.pace import Pace
from hedgerow_workers.report import HOLD_S, Report
from hedgerow_workers.runners import Runner, RunnerEndedError, describe_exit

LIVENESS_S = 1.0
EXIT_S = 0.5
# A slot that sleeps over short steps, instead of being woken by each, does so for at least this long.
MIN_NAP_S = 0.0003

LastEvent: TypeAlias = events.AttemptSucceeded | events.AttemptFailed | events.AttemptSkipped
RunnerEvent: TypeAlias = events.AssetMaterialized | events.CheckEvaluated | events.PartitionsChanged | LastEvent
TERMINAL = ("attempt_succeeded", "attempt_failed", "attempt_skipped")
GAPS_OF_RUNNERS = ("unwritten", "unopened")

_body_decoders: dict[str, msgspec.json.Decoder[RunnerEvent]] = {
    kind: msgspec.json.Decoder(events.KINDS[kind])
    for kind in ("asset_materialized", "check_evaluated", "partitions_changed", *TERMINAL)
}
_withdrawn_decoder = msgspec.json.Decoder(Withdrawn)
_nap = threading.Event()  # never set


class Setting(msgspec.Struct, frozen=True):
    """What all conversations of a worker share. `code_versions` is by computation; `accepting` says whether new orders are begun."""

    code_versions: Mapping[str, str]
    logs: LogStore
    pace: Pace
    accepting: Callable[[], bool]
    kill_grace_s: float


class Conversation:
    """Has a runner execute attempts in turn. Those that it did not begin are put back, in front, when it ends.

    The first attempt of `_sent` is the one that the runner is in, as far as it has told; what it has written when it dies can
    still be read, so that this is then certain. A stop is acted upon only while the slot waits: then nothing unread
    can make it hit another attempt than the one meant, but for the moment in which it is given. Whoever is hit
    in that moment is reported as `interrupted`, as it may have begun.
    """

    def __init__(self, setting: Setting, runner: Runner, report: Report) -> None:
        self._setting = setting
        self._runner = runner
        self._report = report
        self._sent: deque[Attempt] = deque()
        self._halted: Attempt | None = None
        self._is_past = False  # the halted attempt had ended when the stop reached the runner
        self._over: list[str] = []
        self._marked_at = 0.0

    def hold(self, attempts: deque[Attempt]) -> bool:
        """Has as many of the attempts executed as can be sent at once, and takes them out; returns whether the runner can be used again."""
        try:
            self._send(attempts)
            while self._sent:
                self._take(self._next())
            self._note_pace()
            return self._halted is None
        except RunnerEndedError:
            self._account_for_end()
            attempts.extendleft(reversed(self._sent))
        except msgspec.MsgspecError as error:
            self._give_up(f"The runner sent what is no event: {error}.")
        except BaseException as error:
            self._give_up(f"The worker failed: {type(error).__name__}: {error}.")
            raise
        return False

    def _send(self, attempts: deque[Attempt]) -> None:
        versions = self._setting.code_versions
        executes = []
        for place, attempt in enumerate(attempts):
            attempt.log_path = str(self._runner.spool(place))
            order = attempt.order
            executes.append(Execute(order, attempt.log_path, versions.get(order.computation, "")))
        frames = self._runner.frames(executes)
        for _ in frames:
            self._sent.append(attempts.popleft())
        self._runner.steps += len(frames) - 1  # one is counted when a runner is lent
        self._marked_at = clock.monotonic()
        self._begin(self._marked_at)
        self._runner.write(b"".join(frames))

    def _begin(self, now: float) -> None:
        """The runner should be in the first of the attempts now."""
        attempt = self._sent[0]
        attempt.started_at = now
        self._report.started(attempt)

    def _take(self, envelope: Envelope) -> None:
        if envelope.kind == "withdrawn":
            self._withdrawn(_withdrawn_decoder.decode(envelope.body).attempt_id)
            return
        attempt = self._sent[0]
        event = _read(envelope, attempt)
        if attempt is self._halted:
            if envelope.kind in TERMINAL:
                self._is_past = True
                self._runner.signal_group(signal.SIGKILL)
                raise RunnerEndedError
            return  # what is said after the stop no longer counts
        if envelope.kind not in TERMINAL:
            self._report.add(attempt, event)
            return
        last = cast(LastEvent, event)
        self._report.end(attempt, last, self._keep_log(attempt, last.log))
        self._sent.popleft()
        self._over.append(attempt.order.computation)
        if self._sent:
            self._begin(clock.monotonic())

    def _withdrawn(self, attempt_id: str) -> None:
        """The runner will not begin this attempt."""
        for attempt in self._sent:
            if attempt.order.attempt_id == attempt_id and attempt.stop is not None:
                break
        else:
            raise msgspec.ValidationError(f"attempt '{attempt_id}' was not to be withdrawn")
        first = attempt is self._sent[0]
        self._sent.remove(attempt)
        if first:
            attempt.started_at = None
        else:
            self._report.started(attempt)
        report_stop(self._report, attempt)
        if first and self._sent:
            self._begin(clock.monotonic())

    # Waiting

    def _next(self) -> Envelope:
        """The runner's next message. Meanwhile: reports the start of a step that lasts, ends one that must not go on.

        RunnerEndedError when the runner is gone.
        """
        envelope = self._runner.receive(0)
        if envelope is None:
            self._note_pace()
            self._report.flush_if_due(clock.monotonic())
            envelope = self._soon()
        return envelope if envelope is not None else self._later()

    def _soon(self) -> Envelope | None:
        """What comes within moments, while no one can stop the attempt."""
        if len(self._sent) > 1:
            expected_s = sum(self._setting.pace.expected_s(each.order.computation) for each in self._sent)
            if expected_s <= HOLD_S:
                _nap.wait(max(MIN_NAP_S, expected_s))
                envelope = self._runner.receive(0)
                if envelope is not None:
                    return envelope
        return self._runner.receive(HOLD_S)

    def _later(self) -> Envelope:
        """What comes at some time; until then the attempts can be stopped."""
        self._report.flush()
        for each in self._sent:
            each.watch_stop(partial(self._halt, each))
        try:
            while True:
                wait = self._wait_s()
                envelope = self._runner.receive(wait)
                if envelope is not None:
                    return envelope
                # A child of the runner may hold its pipe open, so that its end makes no end of file.
                if self._runner.exit_code() is not None:
                    envelope = self._runner.receive(0)
                    if envelope is None:
                        raise RunnerEndedError
                    return envelope
                self._end_what_must_end()
        finally:
            for each in self._sent:
                each.watch_stop(None)

    def _wait_s(self) -> float:
        """How long nothing has to be done if the runner says nothing."""
        until = self._halted.kill_at if self._halted is not None else self._deadline()
        return max(0.0, min(LIVENESS_S, until - clock.monotonic()))

    def _end_what_must_end(self) -> None:
        now = clock.monotonic()
        if self._halted is not None:
            if now >= self._halted.kill_at:
                self._runner.signal_group(signal.SIGKILL)
                raise RunnerEndedError
        elif now >= self._deadline():
            attempt = self._sent[0]
            limit = (attempt.order.timeout_ms or 0) / 1000
            message = f"The step ran past its timeout of {limit:g} s."
            attempt.request_stop(Stop("timed_out", "HR-X105", message, self._setting.kill_grace_s))
        if not self._setting.accepting():
            for each in list(self._sent)[1:]:
                each.request_stop(not_begun(self._setting.kill_grace_s))

    def _deadline(self) -> float:
        attempt = self._sent[0]
        if attempt.order.timeout_ms is None or attempt.started_at is None:
            return float("inf")
        return attempt.started_at + attempt.order.timeout_ms / 1000

    def _halt(self, attempt: Attempt) -> None:
        """A stop is requested: in the thread of whoever asks, with the slot waiting in `_later`."""
        if attempt is self._sent[0]:
            self._halted = attempt
            self._runner.signal_group(signal.SIGTERM)
            return
        try:
            self._runner.send(Withdraw((attempt.order.attempt_id,)))
        except RunnerEndedError:
            pass  # then it was not begun, and is not given to another runner

    def _note_pace(self) -> None:
        if self._over:
            now = clock.monotonic()
            self._setting.pace.note(self._over, now - self._marked_at)
            self._over = []
            self._marked_at = now

    # Endings

    def _account_for_end(self) -> None:
        """The runner has ended: reports the attempt that it was in, and leaves in `_sent` those that were not begun."""
        if self._halted is not None and self._sent[0] is self._halted:
            attempt = self._sent.popleft()
            report_stop(self._report, attempt, self._keep_log(attempt))
            if self._is_past:
                self._interrupt_first()
        elif self._halted is not None:
            self._interrupt_first()
        else:
            attempt = self._sent.popleft()
            self._report_loss(attempt)

    def _interrupt_first(self) -> None:
        """Reports that the first attempt, which may have begun, ended for no reason of its own."""
        if self._sent:
            attempt = self._sent.popleft()
            if attempt.started_at is None:
                self._report.started(attempt)
            problem = Problem("HR-X104", "The runner of the step was ended because of the step before it.", AGAIN)
            self._report.fail(attempt, "interrupted", problem, log=self._keep_log(attempt))

    def _give_up(self, why: str) -> None:
        """The runner can't be trusted, nor can be said which attempts it has begun."""
        attempt = self._sent.popleft()
        self._report.fail(attempt, "runner_lost", Problem("HR-P104", why, ASK), log=self._keep_log(attempt))
        while self._sent:
            self._interrupt_first()

    def _report_loss(self, attempt: Attempt) -> None:
        spool = Path(attempt.log_path)
        tail = self._runner.tail(spool)
        url = self._keep_log(attempt)
        code = self._runner.wait_exit(EXIT_S)
        how = describe_exit(code) if code is not None else "it closed its pipe"
        why = self._runner.doomed or Problem(
            "HR-X107",
            f"The runner of the step ended in the middle of it: {how}.",
            "See its last lines below. SIGKILL often means that the machine had no memory left; SIGSEGV a fault in a library.",
        )
        error = msgspec.structs.replace(why, traceback=tail or None)
        self._report.fail(attempt, "runner_lost", error, log=url)

    def _keep_log(self, attempt: Attempt, told: str = "") -> str:
        """Where the attempt's log is, or the gap in its place; empty when there is none. `told` is what the runner says of it."""
        gap = decode_gap(told) if told else None
        if gap is not None and gap.why not in GAPS_OF_RUNNERS:
            gap = None
        spool = Path(attempt.log_path)
        if gap is None and _is_empty(spool):
            return ""
        self._report.flush()  # an upload may take seconds
        kept = self._setting.logs.keep(attempt.order, spool, gap)
        if not kept.spool_free:
            self._runner.leave_spool(spool)
        return kept.log


def report_stop(report: Report, attempt: Attempt, log: str = "") -> None:
    """The attempt ends because of its stop."""
    stop = attempt.stop
    assert stop is not None
    remedy = AGAIN if stop.reason == "interrupted" else _STOPPED[stop.reason]
    report.fail(attempt, stop.reason, Problem(stop.code, stop.message, remedy), log=log)


def not_begun(grace_s: float) -> Stop:
    """Why a claimed attempt ends that no runner has begun when the worker leaves."""
    return Stop("interrupted", "HR-X104", "The worker left before the step began.", grace_s)


def _is_empty(path: Path) -> bool:
    try:
        return os.stat(path).st_size == 0
    except OSError:
        return True


def _read(envelope: Envelope, attempt: Attempt) -> RunnerEvent:
    """A runner's event with our token in it; `msgspec.ValidationError` when it is not one about this attempt."""
    decoder = _body_decoders.get(envelope.kind)
    if decoder is None:
        raise msgspec.ValidationError(f"a runner may not send '{envelope.kind}'")
    event = decoder.decode(envelope.body)
    if event.attempt_id != attempt.order.attempt_id:
        raise msgspec.ValidationError(f"an event about attempt '{event.attempt_id}'")
    return msgspec.structs.replace(event, token=attempt.token)


AGAIN = "Nothing: the step is started again on another worker."
ASK = "Report it with the worker's log."
_STOPPED = {
    "cancelled": "Nothing: it was asked for. `hedgerow run retry` starts it again.",
    "timed_out": "Raise the asset's timeout=, or make its step smaller, for instance by partitions.",
}
