"""Why a step waits, and for how long: every second between a run's creation and a step's start belongs to one cause."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum


class Cause(StrEnum):
    """What a waiting step waits for at one moment: the first that holds, in the order in which admission looks."""

    PLANNING = "planning"  # its run is not planned yet
    UPSTREAM = "upstream"  # steps of its run come first
    RETRY_WAIT = "retry_wait"  # a retry comes later
    PAUSED = "paused"  # an operator paused its queue, or a pool that it needs
    QUEUE_CONCURRENCY = "queue_concurrency"  # as many steps of its queue are out as may be
    QUEUE_RATE = "queue_rate"  # its queue starts no more for now
    TEAM_SLOTS = "team_slots"  # as many steps of its team are out as may be
    NO_WORKERS = "no_workers"  # no live worker serves its queue
    SLOTS_BUSY = "slots_busy"  # every slot of its workers is taken
    RUN_CONCURRENCY = "run_concurrency"  # as many steps of its run are out as may be
    POOL_SLOTS = "pool_slots"  # a pool has fewer free slots than it needs
    POOL_RATE = "pool_rate"  # a pool starts no more for now
    KEY_CONCURRENCY = "key_concurrency"  # as many steps of the same key are out as may be
    SAME_OUTPUT = "same_output"  # another attempt makes the same asset and partition
    UNRESOLVED = "unresolved"  # an upstream key that nobody declares
    BLOCKED_BY_CHECK = "blocked_by_check"  # a check holds an input back
    NO_CODE = "no_code"  # no worker serves code that declares it
    TAKEOVER = "takeover"  # no scheduler led
    TURN = "turn"  # others come first
    DISPATCH = "dispatch"  # its order is on the way to a worker


class WaitClock:
    """Seconds by cause of a group of steps that wait together. Every instant since its creation belongs to one cause."""

    __slots__ = ("_seconds", "_shared", "cause", "since")

    def __init__(self, now: datetime, cause: Cause = Cause.TURN) -> None:
        self.cause, self.since = cause, now
        self._seconds: dict[Cause, float] = {}
        self._shared: tuple[datetime, dict[Cause, float]] | None = None

    def mark(self, cause: Cause, now: datetime) -> None:
        """From `now` on they wait for `cause`."""
        if cause is not self.cause:
            self._settle(now)
            self.cause = cause

    def _settle(self, now: datetime) -> None:
        elapsed = (now - self.since).total_seconds()
        if elapsed > 0:
            self._seconds[self.cause] = self._seconds.get(self.cause, 0.0) + elapsed
            self.since = now

    def reading(self, now: datetime) -> dict[Cause, float]:
        """The seconds so far; those who ask at the same `now` share one dict, which nobody may change."""
        if self._shared is None or self._shared[0] != now:
            self._settle(now)
            self._shared = (now, dict(self._seconds))
        return self._shared[1]


def add_wait(waits: dict[str, float], cause: Cause, seconds: float) -> None:
    """Adds to the seconds of a cause."""
    if seconds > 0:
        waits[cause] = waits.get(cause, 0.0) + seconds
