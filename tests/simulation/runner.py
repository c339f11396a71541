"""A slot of a simulated worker, and the runner in it that only pretends to work."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Literal, TypeAlias

from hedgerow.errors import Problem
from hedgerow.manifest.model import Check
from hedgerow.protocol import events
from hedgerow.protocol.orders import Input, StepOrder
from hedgerow.protocol.references import Reference
from hedgerow_workers.attempts import Attempt, Stop
from hedgerow_workers.conversation import not_begun, report_stop
from hedgerow_workers.report import Report

if TYPE_CHECKING:
    from simulation.worker import SimWorker

# How a pretended attempt ends if no one stops it.
Outcome: TypeAlias = Literal["succeeded", "user_error", "runner_lost", "skipped"]
CODE_VERSION = "c"
_PROBLEM = Problem("HR-X001", "It raised.", "Nothing: it is pretended.")
_REJECTED = Problem("HR-X005", "A blocking check failed.", "Nothing: it is pretended.")
_LOST = Problem("HR-X107", "The runner of the step ended in the middle of it.", "Nothing: it is pretended.")


@dataclass(slots=True)
class Execution:
    """What truly happened: user code ran from `began` to `ended` (seconds of the world; None: it runs) on a worker.

    `outcome` is an `Outcome`, a reason of `AttemptFailed`, or "crashed" when its worker was; "" while it runs. `mode` is the
    order's `on_lost_contact`. `frozen`: its worker, or the thread that sees that contact is lost, stood still for a part of that time.
    `judged` is the attempt whose output it ran checks on, if it makes nothing itself, `failed` which of its checks failed, `read` the
    attempts whose outputs it was given.
    """

    run_id: str
    step: str
    attempt_id: str
    attempt: int
    worker: str
    token: str
    assets: tuple[str, ...]
    partition: str | None
    mode: str
    began: float
    ended: float | None = None
    outcome: str = ""
    frozen: bool = False
    judged: str = ""
    failed: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fate:
    """What a runner pretends to do with an order: so many seconds, then this; which of its checks fail."""

    seconds: float
    outcome: Outcome = "succeeded"
    failing: frozenset[str] = frozenset()


class Slot:
    """Does the orders of one message in turn, as `hedgerow_workers.task.Slots` has it. `due` is when it goes on."""

    def __init__(self, worker: SimWorker, orders: deque[StepOrder], report: Report, rng: Random) -> None:
        self.due = 0.0
        self.execution: Execution | None = None
        self._worker, self._orders, self._report, self._rng = worker, orders, report, rng
        self._claimed: deque[Attempt] = deque()
        self._checks: list[Check] = []
        self._fate = Fate(0.0)
        self._ends_at = self._deadline = self._tells_at = math.inf

    def advance(self, now: float) -> bool:
        """Does what is due; returns whether the message is done."""
        while self.due <= now:
            if self.execution is not None:
                self._go_on(now)
            elif self._claimed:
                self._begin(now)
            elif self._orders:
                self._claimed.extend(self._worker.acceptance.take(self._orders, self._report))
                self._report.flush()
                self.due = now + self._worker.waited_s()
            else:
                return True
        return False

    def crash(self, now: float) -> None:
        """The worker's end is the runner's."""
        if self.execution is not None:
            is_over = self._ends_at <= now
            self._note_end(self._ends_at if is_over else now, self._fate.outcome if is_over else "crashed")

    def _begin(self, now: float) -> None:
        attempt = self._claimed[0]
        worker = self._worker
        if worker.runners_closed:
            attempt.request_stop(not_begun(worker.timings.kill_grace_s))
        if attempt.stop is not None:
            self._report.started(attempt)
            report_stop(self._report, attempt)
            self._claimed.popleft()
            self._report.flush()
            return
        order = attempt.order
        self._fate = worker.fate(order)
        self._ends_at = now + self._fate.seconds * worker.slowness
        self._deadline = now + order.timeout_ms / 1000 if order.timeout_ms is not None else math.inf
        # With checks, what it made and what they say is told before its end, so that both may part.
        self._checks = worker.code.checks_of(order)
        self._tells_at = now + self._fate.seconds * worker.slowness / 2 if self._checks else math.inf
        self.due = min(self._ends_at, self._deadline, self._tells_at)
        attempt.started_at = now
        self.execution = Execution(
            order.run_id, order.step, order.attempt_id, order.attempt, worker.id, attempt.token, order.assets,
            order.partition, order.on_lost_contact, now, frozen=worker.is_unwatched, judged=next(iter(_given(order.judged)), ""),
            read=_given(order.inputs),
        )  # fmt: skip
        worker.log.append(self.execution)
        attempt.watch_stop(partial(self._halt, attempt))
        worker.boundary("runner.begun")
        self._report.started(attempt)
        self._report.flush()

    def _halt(self, attempt: Attempt) -> None:
        """The runner gets SIGTERM, and ends by itself or is killed when its grace is over."""
        now = self._worker.clock.seconds
        if self._ends_at > now:
            self._ends_at = min(self._ends_at, now + self._rng.random() * (attempt.kill_at - now))
        self.due = min(self.due, self._ends_at)

    def _go_on(self, now: float) -> None:
        attempt = self._claimed[0]
        if self._tells_at <= now and attempt.stop is None:
            self._tells_at, self.due = math.inf, min(self._ends_at, self._deadline)
            self._report_parts(attempt)
            self._report.flush()
            return
        if self._ends_at > now:
            limit = "The step ran past its timeout."
            attempt.request_stop(Stop("timed_out", "HR-X105", limit, self._worker.timings.kill_grace_s))
            self._deadline, self.due = math.inf, self._ends_at
            return
        attempt.watch_stop(None)
        seconds = self._fate.seconds
        if attempt.stop is not None:
            self._note_end(self._ends_at, attempt.stop.reason)
            report_stop(self._report, attempt)
        else:
            self._note_end(self._ends_at, "check_failed" if self._is_rejected() else self._fate.outcome)
            self._report_outcome(attempt, seconds * 1000)
        self._worker.pace.note([attempt.order.computation], seconds)
        self._claimed.popleft()
        self._worker.boundary("runner.ended")
        self._report.flush()
        self.due = now

    def _note_end(self, ended: float, outcome: str) -> None:
        assert self.execution is not None
        self.execution.ended, self.execution.outcome = ended, outcome
        self.execution = None

    def _report_outcome(self, attempt: Attempt, duration_ms: float) -> None:
        order, token, outcome = attempt.order, attempt.token, self._fate.outcome
        attempt_id, report = order.attempt_id, self._report
        if outcome == "skipped":
            report.end(attempt, events.AttemptSkipped(attempt_id, "Pretended.", token, duration_ms), "")
            return
        if self._is_rejected():
            failed = events.AttemptFailed(attempt_id, "check_failed", _REJECTED, token, False, duration_ms=duration_ms)
            report.end(attempt, failed, "")
            return
        # A step of several assets may fail after the first ones.
        made = order.assets if outcome == "succeeded" else order.assets[: self._rng.randrange(len(order.assets))]
        if not self._checks:
            self._report_made(attempt, made)
        if outcome == "succeeded":
            report.end(attempt, events.AttemptSucceeded(attempt_id, token, duration_ms), "")
        elif outcome == "user_error":
            failed = events.AttemptFailed(attempt_id, "user_error", _PROBLEM, token, duration_ms=duration_ms)
            report.end(attempt, failed, "")
        else:
            report.fail(attempt, "runner_lost", _LOST)

    def _report_made(self, attempt: Attempt, made: Iterable[str]) -> None:
        order, token, attempt_id = attempt.order, attempt.token, attempt.order.attempt_id
        for asset in made:
            url = f"{order.output}/{asset}/{order.partition or '_'}/{attempt_id}.json"
            self._report.add(
                attempt,
                events.AssetMaterialized(
                    attempt_id,
                    asset,
                    token,
                    order.partition,
                    Reference(url, "json", order.partition),
                    attempt_id,
                    CODE_VERSION,
                ),
            )

    def _report_parts(self, attempt: Attempt) -> None:
        """What it made, unless it will find a defect of its own in it, and the verdicts of its checks."""
        order, fate = attempt.order, self._fate
        if fate.outcome in ("user_error", "skipped"):
            return
        if not order.judged:
            self._report_made(attempt, order.assets)
        assert self.execution is not None
        self.execution.failed = fate.failing
        for check in self._checks:
            verdict = events.CheckEvaluated(
                order.attempt_id, check.asset, check.name, check.name not in fate.failing, attempt.token, order.partition,
                check.blocking, check.severity,
            )  # fmt: skip
            self._report.add(attempt, verdict)

    def _is_rejected(self) -> bool:
        return self._fate.outcome == "succeeded" and any(
            check.blocking and check.name in self._fate.failing for check in self._checks
        )


def _given(inputs: Iterable[Input]) -> frozenset[str]:
    """The attempts whose outputs an order names: files are named after them."""
    references = (reference for each in inputs for reference in each.references)
    return frozenset(reference.uri.rpartition("/")[2].removesuffix(".json") for reference in references)
