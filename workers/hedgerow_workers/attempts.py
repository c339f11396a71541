"""The attempts that this worker holds: what its heartbeats renew and what a cancellation or a drain can stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from hedgerow import clock
from hedgerow.errors import Problem
from hedgerow.protocol.events import FailureReason, Held
from hedgerow.protocol.orders import StepOrder


class Stop:
    """Why an attempt must end before its time, and how long its runner has between SIGTERM and SIGKILL."""

    __slots__ = ("code", "grace_s", "message", "reason")

    def __init__(self, reason: FailureReason, code: str, message: str, grace_s: float) -> None:
        self.reason = reason
        self.code = code
        self.message = message
        self.grace_s = grace_s


class Attempt:
    """One claimed order. `started_at` is on the monotonic clock, None until a runner has begun with it; `log_path` is its log.

    `kill_at`, on the same clock, is when a stop's grace ends. `too_large` says why it can't succeed although its code may.
    """

    __slots__ = ("_lock", "_on_stop", "kill_at", "log_path", "order", "started_at", "stop", "token", "too_large")

    def __init__(self, order: StepOrder, token: str) -> None:
        self.order = order
        self.token = token
        self.started_at: float | None = None
        self.log_path = ""
        self.stop: Stop | None = None
        self.too_large: Problem | None = None
        self.kill_at = 0.0
        self._on_stop: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def request_stop(self, stop: Stop) -> bool:
        """Asks for the end of the attempt; the first reason counts. Returns whether it was the first."""
        with self._lock:
            if self.stop is not None:
                return False
            self.kill_at = clock.monotonic() + stop.grace_s  # first: who sees a stop reads it without the lock
            self.stop = stop
            if self._on_stop is not None:
                self._on_stop()
            return True

    def watch_stop(self, on_stop: Callable[[], None] | None) -> None:
        """`on_stop` is called, from another thread, when a stop is requested; at once if it was already. None: no longer."""
        with self._lock:
            self._on_stop = on_stop
            if on_stop is not None and self.stop is not None:
                on_stop()


class Attempts:
    """The table of them, safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Attempt] = {}
        self._reported: dict[str, tuple[Held, int]] = {}
        self.taken = 0

    def add(self, attempt: Attempt) -> None:
        """From now on the attempt is held."""
        with self._lock:
            self._held[attempt.order.attempt_id] = attempt
            self.taken += 1

    def report(self, over: Iterable[Attempt], number: int) -> None:
        """These attempts are over; their last events are in the outbox up to this number, and leases are renewed until those are sent."""
        with self._lock:
            for attempt in over:
                attempt_id = attempt.order.attempt_id
                if self._held.pop(attempt_id, None) is not None:
                    self._reported[attempt_id] = (Held(attempt_id, attempt.token), number)

    def running(self) -> list[Attempt]:
        """The attempts that are not over."""
        with self._lock:
            return list(self._held.values())

    def get(self, attempt_id: str) -> Attempt | None:
        """The attempt of this id, if it is held and not over."""
        with self._lock:
            return self._held.get(attempt_id)

    def holds(self, sent: int) -> tuple[Held, ...]:
        """Every attempt whose lease a heartbeat renews; `sent` is the number of the last event that the broker took."""
        with self._lock:
            for attempt_id in [each for each, (_, number) in self._reported.items() if number <= sent]:
                del self._reported[attempt_id]
            mine = [Held(each.order.attempt_id, each.token) for each in self._held.values()]
            return (*mine, *(held for held, _ in self._reported.values()))

    def __len__(self) -> int:
        return len(self._held)
