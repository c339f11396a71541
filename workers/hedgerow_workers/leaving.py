"""Whether a worker leaves: since when, why, with which exit code, and how long what runs is waited for."""

from __future__ import annotations

import math
from collections.abc import Callable

from hedgerow import clock

EXIT_CODE_CHANGED = 75
# What a drain keeps of its time for ending what still runs and for the outbox.
RESERVE_S = 15.0


class Leaving:
    """`on_begin` is called with the exit code as soon as the worker begins to leave. Everything here is safe in a signal handler."""

    def __init__(
        self, grace_s: float, on_begin: Callable[[int], None], now: Callable[[], float] = clock.monotonic
    ) -> None:
        self._grace_s, self._on_begin, self._now = grace_s, on_begin, now
        self._asked_at: float | None = None
        self.has_begun = False
        self.hurried = False
        self.why = "asked to stop"
        self.code = 0

    @property
    def is_asked_for(self) -> bool:
        """Whether someone asked for it: other code on disk is no such reason."""
        return self._asked_at is not None

    def told(self, why: str) -> None:
        """Begins to leave; told again, ends what runs at once."""
        if self.is_asked_for:
            self.hurried = True
        self.begin(0, why)

    def begin(self, code: int, why: str) -> None:
        """Begins to leave with this exit code, the first one counts."""
        if code != EXIT_CODE_CHANGED and self._asked_at is None:
            self._asked_at = self._now()
        if self.has_begun:
            return
        self.has_begun = True
        self.why, self.code = why, code
        self._on_begin(code)

    def hurry(self) -> None:
        """Ends what runs at once instead of waiting for it."""
        self.hurried = True

    def patience_ends(self) -> float:
        """When the steps that run are ended, by the monotonic clock. Because of other code on disk alone: never."""
        if self._asked_at is None:
            return math.inf
        return self._asked_at + max(self._grace_s / 2, self._grace_s - RESERVE_S)
