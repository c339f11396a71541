"""Start-time fair queueing (Goyal, Vin, Cheng 1996): who of several sharers is served next, so that each gets its weight's part."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import timedelta
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

AGEING = timedelta(minutes=5)  # who is passed over for so long rises by one band of priority
PRUNE_AT = 1024


class FairShares(Generic[Key]):
    """Start tags S = max(v, F) with F = S' + cost / weight of the service before; the least S of those that can be served is
    next, and the virtual time v becomes its S. A sharer that was away is served at once, and has saved nothing up.

    For sharers i, j that wait all the time, the services W differ by |W_i/w_i - W_j/w_j| <= c_i/w_i + c_j/w_j, c being the
    largest cost of each. Weights are given anew with each question, so that a changed one acts on the very next start.
    """

    __slots__ = ("_last", "_prune_at", "virtual_time")

    def __init__(self) -> None:
        self.virtual_time = 0.0
        self._last: dict[Key, tuple[float, float, float]] = {}  # start tag, cost and weight of the last service
        self._prune_at = PRUNE_AT

    def start(self, key: Key, weight: float = 1.0) -> float:
        """The start tag of the key's next service."""
        last = self._last.get(key)
        if last is None:
            return self.virtual_time
        finish = last[0] + last[1] / weight
        return finish if finish > self.virtual_time else self.virtual_time

    def lead(self, key: Key, weight: float = 1.0) -> float:
        """How far the key is ahead of the virtual time: 0 when it is its turn."""
        return self.start(key, weight) - self.virtual_time

    def serve(self, key: Key, cost: float = 1.0, weight: float = 1.0) -> None:
        """The key is served, at this cost."""
        start = self.start(key, weight)
        self._last[key] = (start, cost, weight)
        self.virtual_time = start
        if len(self._last) > self._prune_at:
            self._prune()

    def charge(self, key: Key, cost: float) -> None:
        """The key's present service costs so much more than was said."""
        start, before, weight = self._last[key]
        self._last[key] = (start, before + cost, weight)

    def serve_apart(self, key: Key, cost: float, weight: float = 1.0) -> None:
        """The key is served out of its turn, or has let a turn pass for which others had to wait: it costs as much, and virtual
        time stands, so that the others lose nothing of what they have coming.
        """
        self._last[key] = (self.start(key, weight), cost, weight)

    def _prune(self) -> None:
        """Forgets those whose last service is over in virtual time: they stand as if they had never been here."""
        now = self.virtual_time
        self._last = {key: last for key, last in self._last.items() if last[0] + last[1] / last[2] > now}
        self._prune_at = max(PRUNE_AT, 2 * len(self._last))  # so that forgetting costs little for each service
