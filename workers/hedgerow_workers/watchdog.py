"""Notices a consumer that lives but no longer asks for orders, which only a restart cures.

The length of the queue is not looked at, for a team's broker user may not: a consumer that works asks again every second,
whatever there is to get.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from celery.worker import state

from hedgerow import clock
from hedgerow_workers.settings import WorkerSettings

PERIOD_S = 5.0
EXIT_STUCK = 70

log = logging.getLogger("hedgerow.worker")


class Watchdog:
    """Calls `bite()` once when the worker is stuck. `contact_at` says when the broker last answered.

    Stuck: slots were free, the broker in contact, and nothing was asked for, all for `watchdog_s`.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        celery_worker: Any,
        contact_at: Callable[[], float],
        bite: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._celery = celery_worker
        self._contact_at = contact_at
        self._bite = bite
        self._well_at = clock.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def close(self) -> None:
        """Ends."""
        self._stopped.set()

    def _run(self) -> None:
        period = min(PERIOD_S, self._settings.watchdog_s / 4)
        while not self._stopped.wait(period):
            if not self.is_stuck(clock.monotonic()):
                continue
            log.error("HR-P107  nothing was asked of the broker for %g s: leaving", self._settings.watchdog_s)
            self._bite()
            if not self._stopped.wait(self._settings.grace_s + PERIOD_S):
                # The thread that should have stopped us is the one that is stuck. The outbox keeps what is unsent.
                os._exit(EXIT_STUCK)
            return

    def is_stuck(self, now: float) -> bool:
        """Whether that is so at this time of the monotonic clock, as far as earlier questions tell."""
        asked_at = last_poll(self._celery)
        if asked_at is not None:
            self._well_at = max(self._well_at, asked_at)
        in_contact = now - self._contact_at() < 2 * self._settings.heartbeat_s + PERIOD_S
        if not in_contact or len(state.reserved_requests) >= self._celery.pool.num_processes:
            self._well_at = now
        return now - self._well_at > self._settings.watchdog_s


def last_poll(celery_worker: Any) -> float | None:
    """When Celery's consumer last asked the broker for a message, on the monotonic clock; None before the first time."""
    consumer = getattr(celery_worker, "consumer", None)
    task_consumer = getattr(consumer, "task_consumer", None)
    channel = getattr(task_consumer, "channel", None)
    return getattr(channel, "_brpop_sent_at", None)
