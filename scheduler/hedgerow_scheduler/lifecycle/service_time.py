"""How long steps keep a slot busy: what tells how many orders must be on the way, and how many of them go in one message."""

from __future__ import annotations

ROUND_TRIP_S = 0.05
SHORTEST_S = 0.0002  # what a worker needs for a step that does nothing, many of them in one message,
SHORTEST_ALONE_S = 0.001  # and for one that has a message to itself
LONGEST_S = 86_400.0
MAX_BUFFER = 512
SMOOTHING = 0.1

BATCH_S = 0.02  # a message holds a slot for about so long: what comes behind it waits no longer for a turn
MAX_BATCH = 64
SAMPLES = 5  # before so many steps were measured, each goes alone
FORGETTING = 0.95


class ServiceTime:
    """How long a queue's steps keep a slot busy, as an exponential average over its last steps."""

    def __init__(self) -> None:
        self._average_s: float | None = None

    def took(self, seconds: float) -> None:
        """A step kept its slot busy for so long, as its worker says."""
        seconds = min(max(seconds, 0.0), LONGEST_S)
        if self._average_s is None:
            self._average_s = seconds
        else:
            self._average_s += SMOOTHING * (seconds - self._average_s)

    @property
    def seconds(self) -> float | None:
        """The average; None before the first step has ended."""
        return self._average_s

    def buffer(self, slots: int, *, alone: bool = True) -> int:
        """How many orders beyond the slots keep them busy while the next ones are on their way: the slots' rate times the time
        that a round trip takes under load, none for steps that last longer than that. `alone`: each has a message to itself.
        """
        if self._average_s is None:
            return 0
        shortest = SHORTEST_ALONE_S if alone else SHORTEST_S
        return min(MAX_BUFFER, int(slots * ROUND_TRIP_S / max(self._average_s, shortest)))


class StepTime:
    """How long the steps of one computation last, told pessimistically: the longest of the last ones, which is forgotten slowly.

    One slow step so makes the messages short at once, and it takes many quick ones to make them long again.
    """

    __slots__ = ("_samples", "_slow_s")

    def __init__(self) -> None:
        self._samples = 0
        self._slow_s = 0.0

    def took(self, seconds: float) -> None:
        """A step lasted so long, as its worker says."""
        self._samples += 1
        self._slow_s = max(min(max(seconds, 0.0), LONGEST_S), self._slow_s * FORGETTING)

    def batch(self, most: int = MAX_BATCH) -> int:
        """How many such steps may go in one message; 1 as long as too little is known."""
        if self._samples < SAMPLES:
            return 1
        return max(1, min(most, int(BATCH_S / max(self._slow_s, SHORTEST_S))))
