"""How long steps keep a slot busy: what tells how many orders must be on the way so that no slot waits for the next."""

from __future__ import annotations

ROUND_TRIP_S = 0.05
SHORTEST_S = 0.001  # what a worker needs for a step that does nothing
LONGEST_S = 86_400.0
MAX_BUFFER = 128
SMOOTHING = 0.1


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

    def buffer(self, slots: int) -> int:
        """How many orders beyond the slots keep them busy while the next ones are on their way: the slots' rate times the time
        that a round trip takes under load, none for steps that last longer than that.
        """
        if self._average_s is None:
            return 0
        return min(MAX_BUFFER, int(slots * ROUND_TRIP_S / max(self._average_s, SHORTEST_S)))
