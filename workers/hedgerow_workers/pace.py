"""How long steps take, to know how many of a message's orders begin within a moment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

# Orders are claimed, and sent to a runner, so far ahead of their start: a later one can still be taken back or go elsewhere.
AHEAD_S = 0.005
MAX_PORTION = 16
# What the newest step adds to what earlier ones said: a single long one is remembered for a dozen short ones.
WEIGHT = 0.3
MAX_KNOWN = 10_000
# The longest of the last steps, of whatever computation, is forgotten by this much with each shorter one.
FORGETTING = 0.8


class Pace:
    """Seconds per step by computation, as experienced by the slots; a race between them costs one observation."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._longest_s = 1.0

    @property
    def quick(self) -> bool:
        """Whether all of the last steps were so short that messages may be fetched before a slot is free."""
        return self._longest_s < AHEAD_S

    def expected_s(self, computation: str) -> float:
        """How long a step of this computation should take; infinity when none has ended yet."""
        return self._seconds.get(computation, math.inf)

    def note(self, computations: Sequence[str], seconds: float) -> None:
        """Steps of these computations have ended one after another within `seconds`."""
        each = seconds / len(computations)
        self._longest_s = max(each, FORGETTING * self._longest_s)
        for computation in computations:
            known = self._seconds.get(computation)
            if known is None and len(self._seconds) >= MAX_KNOWN:
                self._seconds.clear()
            self._seconds[computation] = each if known is None else known + WEIGHT * (each - known)

    def portion(self, computations: Iterable[str]) -> int:
        """How many of these steps, done in turn, should begin within `AHEAD_S`: at least one, at most `MAX_PORTION`.

        >>> pace = Pace()
        >>> pace.portion(["a", "a"])
        1
        >>> pace.note(["a"], 0.002)
        >>> pace.portion(["a", "a", "a", "a", "a"]), pace.portion(["a", "b", "a"])
        (3, 2)
        """
        count, begins_s = 0, 0.0
        for computation in computations:
            if count == MAX_PORTION or begins_s > AHEAD_S:
                break
            count += 1
            begins_s += self.expected_s(computation)
        return max(1, count)
