"""What a slot does with a message: claims its orders, a few at a time, and has runners execute them."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from hedgerow.errors import Problem
from hedgerow.protocol.orders import OrderMessage, StepOrder
from hedgerow_workers.acceptance import Acceptance, Audience
from hedgerow_workers.attempts import Attempt, Attempts
from hedgerow_workers.claims import Claims
from hedgerow_workers.conversation import ASK, Conversation, Setting, not_begun, report_stop
from hedgerow_workers.logs import LogStore
from hedgerow_workers.outbox import Outbox
from hedgerow_workers.pace import MAX_PORTION, Pace
from hedgerow_workers.report import Report
from hedgerow_workers.runner_pool import PoolClosedError, RunnerPool, StopRequestedError

_order_decoder = msgspec.json.Decoder(OrderMessage)

log = logging.getLogger("hedgerow.worker")


def orders_of(message: str) -> deque[StepOrder]:
    """The orders of a message; none when it can't be read."""
    try:
        return deque(_order_decoder.decode(message).orders)
    except msgspec.MsgspecError as error:
        log.error("HR-P106  a message is not an order: %s", error)
        return deque()


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
        self._runners = runners
        self._outbox = outbox
        self._attempts = attempts
        self._on_runner_exit = on_runner_exit
        self._kill_grace_s = kill_grace_s
        self._at_work: set[Report] = set()
        self._pace = Pace()
        self._acceptance = Acceptance(audience, claims, attempts, self._pace, accepting)
        self._setting = Setting(code_versions, logs, self._pace, accepting, kill_grace_s)

    @property
    def busy(self) -> int:
        """How many slots are at work, each on however many orders."""
        return len(self._at_work)

    @property
    def quick(self) -> bool:
        """Whether all of the last steps were very short."""
        return self._pace.quick

    def execute(self, message: str, more: Callable[[], str | None] = lambda: None) -> None:
        """Does the orders of one message, in turn, and those of further ones that `more` gives, as long as they begin within a moment.
        A message that can't be read is dropped: the scheduler re-sends what it misses.
        """
        report = Report(self._outbox, self._attempts)
        self._at_work.add(report)
        try:
            self._execute(orders_of(message), more, report)
        finally:
            self._at_work.discard(report)

    def _execute(self, orders: deque[StepOrder], more: Callable[[], str | None], report: Report) -> None:
        claimed: deque[Attempt] = deque()
        while orders or claimed:
            before = len(claimed)
            try:
                if not claimed:
                    self._top_up(orders, more)
                    claimed.extend(self._acceptance.take(orders, report))
                else:
                    self._run(claimed, report)
            except Exception as error:
                log.exception("the worker itself failed")
                if claimed and len(claimed) == before:  # so that it goes on
                    why = f"The worker failed: {type(error).__name__}: {error}."
                    report.fail(claimed.popleft(), "runner_lost", Problem("HR-P104", why, ASK))
            report.flush()

    def refuse(self, message: str) -> None:
        """Gives the orders of a message back that no slot has begun."""
        report = Report(self._outbox, self._attempts)
        for order in orders_of(message):
            why = "The worker's slots are taken by longer steps than was to be expected."
            report.refuse(order.attempt_id, Problem("HR-X102", why, "Nothing: another worker gets the order."))
        report.flush()

    def _top_up(self, orders: deque[StepOrder], more: Callable[[], str | None]) -> None:
        """Adds further messages while all that is there should have begun within a moment."""
        while orders and self._pace.portion(order.computation for order in orders) == len(orders) < MAX_PORTION:
            if math.isinf(self._pace.expected_s(orders[-1].computation)) or orders[-1].isolation == "process":
                return
            message = more()
            if message is None:
                return
            orders.extend(orders_of(message))

    def _run(self, claimed: deque[Attempt], report: Report) -> None:
        """Has a runner execute the first of the attempts; those that it did not begin stay."""
        for attempt in [each for each in claimed if each.stop is not None]:
            claimed.remove(attempt)
            self._end_unbegun(attempt, report)
        if not claimed:
            return
        first = claimed[0]
        alone = first.order.isolation == "process"
        report.flush()  # a runner may be long in coming
        try:
            runner = self._runners.acquire(fresh=alone, stopped=lambda: first.stop is not None)
        except PoolClosedError:
            while claimed:
                attempt = claimed.popleft()
                attempt.request_stop(not_begun(self._kill_grace_s))
                self._end_unbegun(attempt, report)
            return
        except StopRequestedError:
            self._end_unbegun(claimed.popleft(), report)
            return
        reuse = False
        try:
            reuse = Conversation(self._setting, runner, report).hold(claimed) and not alone
        finally:
            report.flush()
            code = self._runners.release(runner, reuse=reuse)
            if code is not None and not alone:
                self._on_runner_exit()

    def _end_unbegun(self, attempt: Attempt, report: Report) -> None:
        report.started(attempt)
        report_stop(report, attempt)
