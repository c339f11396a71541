"""What a condition holds for and what is not requested all the same: held back, left to others, or given up because it was in vain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from pyroaring import BitMap

from hedgerow_scheduler.automation.facts import EMPTY

MOST_IN_VAIN = 10  # requests in a row of what is requested already: it asks because it asked


class Withheld:
    """Partitions by asset. Whoever is told that they are so no longer asks their conditions again."""

    def __init__(self) -> None:
        self._held_back: dict[str, BitMap] = {}
        self._left: dict[str, BitMap] = {}
        self._given_up: dict[str, BitMap] = {}
        self._in_vain: Counter[str] = Counter()

    def hold_back(self, key: str, which: BitMap) -> None:
        """Something holds them back: a pause, or a function that has not answered."""
        self._held_back[key] = self._held_back.get(key, EMPTY) | which

    def released(self) -> Mapping[str, BitMap]:
        """All that was held back, which is so no longer."""
        released, self._held_back = self._held_back, {}
        return released

    def leave(self, key: str, which: BitMap) -> None:
        """Someone is going to make them anyway."""
        self._left[key] = self._left.get(key, EMPTY) | which

    def let_go(self, key: str, which: BitMap) -> BitMap:
        """Those of them that were left to someone, who does not make them after all."""
        if left := self._left.get(key, EMPTY) & which:
            self._left[key] -= left
        return left

    def not_in_vain(self, key: str) -> None:
        """What was requested of the asset was news, or its step has gone out."""
        self._in_vain.pop(key, None)

    def gives_up(self, key: str, which: BitMap) -> bool:
        """Whether they, which are requested already, were so too often: enough until a step of the asset has gone out or ended."""
        self._in_vain[key] += 1
        if self._in_vain[key] <= MOST_IN_VAIN:
            return False
        self._given_up[key] = self._given_up.get(key, EMPTY) | which
        return True

    @property
    def has_given_up(self) -> bool:
        """Whether anything is given up."""
        return bool(self._given_up)

    def tried_again(self, key: str) -> BitMap:
        """What was given up of the asset, of which a step has ended: it is so no longer."""
        if (which := self._given_up.pop(key, None)) is None:
            return EMPTY
        self._in_vain.pop(key, None)
        return which
