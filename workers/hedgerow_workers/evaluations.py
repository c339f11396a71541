"""Evaluations outside of steps: whatever the scheduler asks to evaluate is claimed, and done in a control runner of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from hedgerow import clock
from hedgerow.errors import HedgerowError, Problem
from hedgerow.protocol import runner as protocol
from hedgerow.protocol.control import Evaluate
from hedgerow.protocol.events import MAX_EVALUATION_LOG_BYTES, Evaluated, EvaluationKind, EvaluationReason
from hedgerow_workers.claims import Claims, EvaluationClaim
from hedgerow_workers.control_runners import ControlRunners, LeavingError
from hedgerow_workers.metrics import Metrics
from hedgerow_workers.outbox import Outbox, encode
from hedgerow_workers.runners import Runner, RunnerEndedError, describe_exit, tail_of
from hedgerow_workers.settings import WorkerSettings

AT_ONCE = 16  # of a worker: more are left to others, or asked for again
LOOK_S = 0.5
EXIT_S = 0.5
PATIENCE_S = 2.0
TEND_S = 15.0
SEND_S = 5.0

log = logging.getLogger("hedgerow.worker")


class Evaluations:
    """Takes up the scheduler's messages; each evaluation has a thread and a runner, so that one which hangs holds up no other."""

    def __init__(
        self,
        manifest: str,
        claims: Claims,
        runners: ControlRunners,
        outbox: Outbox,
        accepting: Callable[[], bool],
        on_evaluated: Callable[[EvaluationKind, EvaluationReason], None],
    ) -> None:
        self._manifest, self._claims, self.runners, self._outbox = manifest, claims, runners, outbox
        self._accepting, self._on_evaluated = accepting, on_evaluated
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        self._threads = ThreadPoolExecutor(AT_ONCE, "evaluation")
        self._leaving = threading.Event()
        # Without it, those that idle when nothing is evaluated any more would stay for ever.
        self._tending = threading.Thread(target=self._tend, name="control runners", daemon=True)
        self._tending.start()

    def take(self, message: Evaluate) -> None:
        """Begins an evaluation, unless it is of other code, was begun already, or there is no room for it."""
        if message.manifest != self._manifest or not self._accepting():
            return
        with self._lock:
            if self._leaving.is_set() or message.evaluation_id in self._under_way or len(self._under_way) >= AT_ONCE:
                return
            self._under_way.add(message.evaluation_id)
            self._threads.submit(self._run, message)  # within the lock: no thread is given work once they end

    def close(self, *, hurry: bool) -> None:
        """Takes no more; those that still run after a moment, or at once if it is a `hurry`, are ended and said to be interrupted."""
        until = clock.monotonic() + (0.0 if hurry else PATIENCE_S)
        rest = threading.Event()
        while self._under_way and clock.monotonic() < until:
            rest.wait(0.05)
        with self._lock:
            self._leaving.set()
        self._threads.shutdown()
        self._tending.join()
        self.runners.close()

    def _tend(self) -> None:
        while not self._leaving.wait(TEND_S):
            self.runners.tend(clock.monotonic())

    def _run(self, message: Evaluate) -> None:
        try:
            told = self._evaluated(message)
            if told is not None:
                self._outbox.put([encode(told)])
                self._on_evaluated(told.kind, told.reason)
        except Exception:  # a defect: it must not go unseen in a thread that nobody waits for
            log.exception("evaluation %s failed", message.evaluation_id)
        finally:
            with self._lock:
                self._under_way.discard(message.evaluation_id)

    def _evaluated(self, message: Evaluate) -> Evaluated | None:
        """What came of it; None when another worker has it, or it is too late."""
        now_ms = clock.now_ms()
        if now_ms > message.start_before_ms:
            late_s = (now_ms - message.start_before_ms) / 1000
            log.info("evaluation %s came %.1f s too late, by this machine's clock", message.evaluation_id, late_s)
            return None
        claim = EvaluationClaim(message.evaluation_id, message.start_before_ms)
        if self._claims.take([claim], now_ms, logging.DEBUG) == [None]:  # all workers of the team ask for it
            return None
        began = clock.monotonic()
        try:
            runner = self.runners.acquire(lambda: self._leaving.is_set())
        except LeavingError:
            return _failed(message, "runner_lost", _LEFT)
        except HedgerowError as error:
            return _failed(message, "runner_lost", error.problems[0], clock.monotonic() - began)
        return self._hold(message, runner)

    def _hold(self, message: Evaluate, runner: Runner) -> Evaluated:
        """Has a runner evaluate; it is used again if it answers, and killed with its process group otherwise."""
        spool, began = runner.spool(0), clock.monotonic()
        told, answered = None, False
        try:
            asked = protocol.Evaluate(message.evaluation_id, message.kind, message.name, message.argument, str(spool))
            runner.send_within(asked, min(SEND_S, message.timeout_ms / 1000))
            told = self._awaited(message, runner, began + message.timeout_ms / 1000)
            answered = told.reason in ("ok", "user_error", "bad_result")
        except RunnerEndedError:
            code = runner.wait_exit(EXIT_S)
            how = describe_exit(code) if code is not None else "it closed its pipe"
            told = _failed(message, "runner_lost", runner.doomed or _lost(message, how), clock.monotonic() - began)
        except TimeoutError:  # what an evaluation before left behind holds it up
            told = _failed(message, "runner_lost", _lost(message, "it took no question"), clock.monotonic() - began)
        except msgspec.MsgspecError as error:
            problem = Problem(
                "HR-P104", f"The runner sent what is no answer: {error}.", "Report it with the worker's log."
            )
            told = _failed(message, "runner_lost", problem, clock.monotonic() - began)
        finally:
            printed = tail_of(spool, MAX_EVALUATION_LOG_BYTES)
            # What is no text takes three times as much once it is written as such.
            printed = printed.encode()[-MAX_EVALUATION_LOG_BYTES:].decode("utf-8", "ignore")
            spool.unlink(missing_ok=True)  # whatever it is used for next: it may be large
            self.runners.release(runner, reuse=answered)
        return msgspec.structs.replace(told, log=printed)

    def _awaited(self, message: Evaluate, runner: Runner, deadline: float) -> Evaluated:
        """The runner's answer, or that it took too long, or that the worker leaves."""
        began = clock.monotonic()
        while (left := deadline - clock.monotonic()) > 0 and not self._leaving.is_set():
            envelope = runner.receive(min(LOOK_S, left))
            if envelope is None and runner.exit_code() is not None:
                envelope = runner.receive(0)  # a child of the runner may hold its pipe open
                if envelope is None:
                    raise RunnerEndedError
            if envelope is None:
                continue
            told = msgspec.json.decode(envelope.body, type=Evaluated) if envelope.kind == "evaluated" else None
            if told is None or told.evaluation_id != message.evaluation_id:
                raise msgspec.ValidationError(f"'{envelope.kind}' about something else")
            return msgspec.structs.replace(told, kind=message.kind, name=message.name)
        lasted_s = clock.monotonic() - began
        if self._leaving.is_set():
            return _failed(message, "runner_lost", _LEFT, lasted_s)
        says = f"The {message.kind} '{message.name}' ran past its timeout of {message.timeout_ms / 1000:g} s."
        return _failed(
            message, "timed_out", Problem("HR-X105", says, "Raise its timeout=, or have it look at less."), lasted_s
        )


def open_evaluations(
    settings: WorkerSettings,
    manifest: str,
    claims: Claims,
    outbox: Outbox,
    accepting: Callable[[], bool],
    metrics: Metrics,
) -> Evaluations:
    """The evaluations of a worker that serves this manifest, for as long as `accepting` says so; `metrics` count them."""
    folder = outbox.directory / "spool" / "control"
    folder.mkdir(parents=True)
    runners = ControlRunners(
        lambda number: Runner(settings.python, settings.path, settings.environment, folder, number),
        settings.path,
        settings.load_timeout_s,
        manifest,
    )
    return Evaluations(manifest, claims, runners, outbox, accepting, metrics.evaluated)


def _failed(message: Evaluate, reason: EvaluationReason, problem: Problem, lasted_s: float = 0.0) -> Evaluated:
    return Evaluated(
        message.evaluation_id,
        message.kind,
        message.name,
        reason,
        error=problem,
        duration_ms=round(lasted_s * 1000),
    )


def _lost(message: Evaluate, how: str) -> Problem:
    says = f"The runner of {message.kind} '{message.name}' ended in the middle of it: {how}."
    return Problem("HR-X107", says, "See what it printed. SIGKILL often means that the machine had no memory left.")


_LEFT = Problem("HR-X104", "The worker had to leave while the evaluation ran.", "Nothing: it is evaluated again.")
