"""What a slot does with an order: claim it, have a runner execute it, report what happens."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

import msgspec

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow.protocol import events
from hedgerow.protocol.envelope import Envelope
from hedgerow.protocol.orders import OrderMessage, StepOrder
from hedgerow.protocol.runner import Execute
from hedgerow_workers.attempts import Attempt, Attempts, Stop
from hedgerow_workers.claims import Claims
from hedgerow_workers.logs import LogStore
from hedgerow_workers.outbox import Outbox, encode
from hedgerow_workers.report import Report
from hedgerow_workers.runner_pool import PoolClosedError, RunnerPool, StopRequestedError
from hedgerow_workers.runners import Runner, RunnerEndedError, describe_exit

# A step that answers within this time is reported in one piece; the start of a longer one is reported at once.
COALESCE_S = 0.005
LIVENESS_S = 1.0
EXIT_S = 0.5

LastEvent: TypeAlias = events.AttemptSucceeded | events.AttemptFailed | events.AttemptSkipped
RunnerEvent: TypeAlias = events.AssetMaterialized | events.CheckEvaluated | LastEvent
TERMINAL = ("attempt_succeeded", "attempt_failed", "attempt_skipped")

_order_decoder = msgspec.json.Decoder(OrderMessage)
_body_decoders: dict[str, msgspec.json.Decoder[RunnerEvent]] = {
    kind: msgspec.json.Decoder(events.KINDS[kind]) for kind in ("asset_materialized", "check_evaluated", *TERMINAL)
}

log = logging.getLogger("hedgerow.worker")


class Audience(msgspec.Struct, frozen=True):
    """Whose orders this worker takes."""

    deployment: str
    team: str
    location: str
    manifest: str


class Slots:
    """Executes the orders of Celery messages; each pool thread calls `execute` for one message at a time.

    `code_versions` maps a computation's name to its version in the manifest. `accepting` says whether new orders are begun.
    """

    def __init__(
        self,
        audience: Audience,
        code_versions: Mapping[str, str],
        claims: Claims,
        runners: RunnerPool,
        outbox: Outbox,
        attempts: Attempts,
        logs: LogStore,
        accepting: Callable[[], bool],
        on_runner_exit: Callable[[], None],
        kill_grace_s: float,
    ) -> None:
        self._audience = audience
        self._code_versions = code_versions
        self._claims = claims
        self._runners = runners
        self._outbox = outbox
        self._attempts = attempts
        self._logs = logs
        self._accepting = accepting
        self._on_runner_exit = on_runner_exit
        self._kill_grace_s = kill_grace_s

    def execute(self, message: str) -> None:
        """Does the orders of one message, in turn. A message that can't be read is dropped: the scheduler re-sends what it misses."""
        try:
            orders = _order_decoder.decode(message).orders
        except msgspec.MsgspecError as error:
            log.error("HR-P106  a message is not an order: %s", error)
            return
        for order in orders:
            try:
                self._take(order)
            except Exception:
                log.exception("attempt %s failed in the worker itself", order.attempt_id)

    def _take(self, order: StepOrder) -> None:
        now_ms = clock.now_ms()
        refusal = self._refusal(order, now_ms)
        if refusal is not None:
            self._outbox.put([encode(events.AttemptFailed(order.attempt_id, "refused", refusal))])
            return
        token = self._claims.take(order, now_ms)
        if token is None:
            return
        attempt = Attempt(order, token)
        self._attempts.add(attempt)
        report = Report(attempt, self._outbox)
        try:
            self._run(attempt, report)
        except BaseException as error:
            report.fail("runner_lost", "HR-P104", f"The worker failed: {type(error).__name__}: {error}.", _ASK)
            raise
        finally:
            self._attempts.report(attempt, report.number)

    def _refusal(self, order: StepOrder, now_ms: int) -> Problem | None:
        if order.start_before_ms and now_ms > order.start_before_ms:
            late = now_ms - order.start_before_ms
            return Problem(
                "HR-X101", f"The order came {late} ms too late to be started.", "Nothing: it is dispatched again."
            )
        if not self._accepting():
            return Problem(
                "HR-X102", "The worker is leaving, or can't keep events.", "Nothing: another worker gets the order."
            )
        mine = self._audience
        for what, asked, served in (
            ("deployment", order.deployment, mine.deployment),
            ("team", order.team, mine.team),
            ("location", order.location, mine.location),
            ("manifest", order.manifest, mine.manifest),
        ):
            if asked != served:
                return Problem(
                    "HR-X103",
                    f"The order is for {what} '{asked}', the worker serves '{served}'.",
                    "Check that no two deployments share a name on this broker.",
                )
        return None

    def _run(self, attempt: Attempt, report: Report) -> None:
        order = attempt.order
        try:
            runner = self._runners.acquire(fresh=order.isolation == "process", stopped=lambda: attempt.stop is not None)
        except PoolClosedError:
            report.add(_started(attempt))
            report.fail("interrupted", "HR-X104", "The worker left before the step began.", _AGAIN)
            return
        except StopRequestedError:
            report.add(_started(attempt))
            self._report_stop(attempt, "", report)
            return
        reuse = False
        try:
            reuse = self._converse(attempt, runner, report) and order.isolation != "process"
        finally:
            attempt.watch_stop(None)
            code = self._runners.release(runner, reuse=reuse)
            if code is not None and order.isolation != "process":
                self._on_runner_exit()

    def _converse(self, attempt: Attempt, runner: Runner, report: Report) -> bool:
        """Has the runner execute the order; returns whether it can be used again."""
        order = attempt.order
        attempt.log_path = str(runner.spool)
        attempt.watch_stop(lambda: runner.signal_group(signal.SIGTERM))
        report.add(_started(attempt))
        if attempt.stop is not None:
            self._report_stop(attempt, self._keep_log(order, runner), report)
            return False
        attempt.started_at = report.started_at = clock.monotonic()
        deadline = attempt.started_at + order.timeout_ms / 1000 if order.timeout_ms is not None else None
        try:
            runner.send(Execute(order, attempt.log_path, self._code_versions.get(order.computation, "")))
            while True:
                envelope = self._next(attempt, runner, report, deadline)
                if attempt.stop is not None:
                    continue  # what is said after the stop no longer counts
                if envelope.kind in TERMINAL:
                    # The order of these two matters: a stop that comes now must not hit the runner's next attempt.
                    attempt.watch_stop(None)
                    report.end(cast(LastEvent, _read(envelope, attempt)), self._keep_log(order, runner))
                    return True
                report.add(_read(envelope, attempt))
        except RunnerEndedError:
            if attempt.stop is not None:
                self._report_stop(attempt, self._keep_log(order, runner), report)
            else:
                self._report_loss(attempt, runner, report)
        except msgspec.MsgspecError as error:
            url = self._keep_log(order, runner)
            report.fail("runner_lost", "HR-P104", f"The runner sent what is no event: {error}.", _ASK, log=url)
        return False

    def _next(self, attempt: Attempt, runner: Runner, report: Report, deadline: float | None) -> Envelope:
        """The runner's next message. Meanwhile: reports the start of a step that lasts, ends one that must not go on.

        RunnerEndedError when the runner is gone.
        """
        wait = COALESCE_S if report.unsent else LIVENESS_S
        while True:
            now = clock.monotonic()
            if attempt.stop is not None:
                if now >= attempt.kill_at:
                    runner.signal_group(signal.SIGKILL)
                    raise RunnerEndedError
                wait = min(wait, attempt.kill_at - now)
            elif deadline is not None:
                if now >= deadline:
                    limit = (attempt.order.timeout_ms or 0) / 1000
                    message = f"The step ran past its timeout of {limit:g} s."
                    attempt.request_stop(Stop("timed_out", "HR-X105", message, self._kill_grace_s))
                    continue
                wait = min(wait, deadline - now)
            envelope = runner.receive(wait)
            if envelope is not None:
                return envelope
            report.flush()
            # A child of the runner may hold its pipe open, so that its end makes no end of file.
            if runner.exit_code() is not None:
                envelope = runner.receive(0)
                if envelope is None:
                    raise RunnerEndedError
                return envelope
            wait = LIVENESS_S

    def _keep_log(self, order: StepOrder, runner: Runner) -> str:
        """The URL of the attempt's log, empty when there is none or storage does not take it in time."""
        url = self._logs.keep(order, runner.spool)
        if url is None:
            runner.leave_spool()
            return ""
        return url

    def _report_stop(self, attempt: Attempt, url: str, report: Report) -> None:
        stop = attempt.stop
        assert stop is not None
        remedy = _AGAIN if stop.reason == "interrupted" else _STOPPED[stop.reason]
        report.fail(stop.reason, stop.code, stop.message, remedy, log=url)

    def _report_loss(self, attempt: Attempt, runner: Runner, report: Report) -> None:
        tail = runner.tail()
        url = self._keep_log(attempt.order, runner)
        code = runner.wait_exit(EXIT_S)
        how = describe_exit(code) if code is not None else "it closed its pipe"
        why = runner.doomed or Problem(
            "HR-X107",
            f"The runner of the step ended in the middle of it: {how}.",
            "See its last lines below. SIGKILL often means that the machine had no memory left; SIGSEGV a fault in a library.",
        )
        report.fail("runner_lost", why.code, why.message, why.remedy, log=url, traceback=tail or None)


def _started(attempt: Attempt) -> events.AttemptStarted:
    order = attempt.order
    return events.AttemptStarted(order.attempt_id, attempt.token, order.run_id, order.step)


def _read(envelope: Envelope, attempt: Attempt) -> RunnerEvent:
    """A runner's event with our token in it; `msgspec.ValidationError` when it is not one about this attempt."""
    decoder = _body_decoders.get(envelope.kind)
    if decoder is None:
        raise msgspec.ValidationError(f"a runner may not send '{envelope.kind}'")
    event = decoder.decode(envelope.body)
    if event.attempt_id != attempt.order.attempt_id:
        raise msgspec.ValidationError(f"an event about attempt '{event.attempt_id}'")
    return msgspec.structs.replace(event, token=attempt.token)


_AGAIN = "Nothing: the step is started again on another worker."
_ASK = "Report it with the worker's log."
_STOPPED = {
    "cancelled": "Nothing: it was asked for. `hedgerow run retry` starts it again.",
    "timed_out": "Raise the asset's timeout=, or make its step smaller, for instance by partitions.",
}
