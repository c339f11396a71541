"""Cycle after cycle: strike, hold, heal, wait until things go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from random import Random

from chaos.faults import KINDS, Blow
from chaos.history import Fault
from chaos.recovery import BOUNDS_S
from chaos.stage import Stage

SETTLE_S = 2.0
TWO_AT_ONCE = 0.3  # the share of cycles with two faults together
EARLY = 12  # cycles, within which each kind that is measured by itself has come alone


class Cycles:
    """Harms a stage with faults of these kinds, drawn from the seed. `faults` are those so far.

    `resumes` waits until things that began after a moment have been done, and tells when, or None when they stand still.
    """

    def __init__(
        self, stage: Stage, kinds: list[str], random: Random, resumes: Callable[[float], float | None]
    ) -> None:
        self._stage, self._kinds, self._random, self._resumes = stage, kinds, random, resumes
        self.faults: list[Fault] = []
        self.played = 0

    def play(self, cycles: int, seconds: float, settle: Callable[[list[Fault]], None] = lambda _: None) -> bool:
        """Plays so many cycles, or for so long if that is not 0; `settle` may wait for more after each. False when things stand still:
        more faults would only hide why.
        """
        until = time.monotonic() + seconds
        if self._resumes(time.time()) is None:
            return False
        for kinds in drawn(self._kinds, self._random, EARLY if seconds else min(EARLY, cycles)):
            if not (time.monotonic() < until if seconds else self.played < cycles):
                break
            self.played += 1
            faults = self._cycle(kinds)
            if faults[0].resumed is None:
                return False
            settle(faults)
        return True

    def pause(self, seconds: float) -> None:
        """Lets time pass; what ended without our doing is started again meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(0.1, left))
            self._stage.revive()

    def _cycle(self, kinds: list[str]) -> list[Fault]:
        self.pause(self._random.uniform(0.5, SETTLE_S))
        blows = [KINDS[kind](self._stage, self._random) for kind in kinds]
        struck: list[tuple[Blow, float, list[int]]] = []
        for blow in blows:
            began = time.time()
            struck.append((blow, began, blow.strike()))
        healed = []
        for blow, began, pids in sorted(struck, key=lambda each: each[1] + each[0].hold_s):
            self.pause(began + blow.hold_s - time.time())
            blow.heal()
            healed.append(Fault(blow.kind, blow.target, began, time.time(), tuple(pids)))
        resumed = self._resumes(time.time())
        faults = [Fault(f.kind, f.target, f.began, f.healed, f.pids, resumed) for f in healed]
        self.faults += faults
        told = "; ".join(f"{f.kind} {f.target} for {f.healed - f.began:.1f} s".replace("  ", " ") for f in faults)
        after = f"went on after {resumed - faults[-1].healed:.1f} s" if resumed else "STANDS STILL"
        print(f"cycle {self.played:>3}: {told}; {after}", flush=True)
        return faults


def drawn(kinds: Sequence[str], random: Random, early: int) -> Iterator[list[str]]:
    """The kinds of each cycle: every kind comes once before any comes again, now and then two together, never two of one server:
    who is dead can't be told to be full. A kind with a bound of its own (`BOUNDS_S`) first comes alone, for another fault would
    tell upon what is measured, and within the first `early` cycles; if those are too few, the last of them in any case.
    """
    alone = [kind for kind in BOUNDS_S if kind in kinds]
    bag = random.sample(kinds, len(kinds))
    for kind in alone:
        bag.remove(kind)
        bag.insert(len(bag) - random.randint(0, min(len(bag), early - 1)), kind)
    while True:
        if len(bag) < 2:
            bag = random.sample(kinds, len(kinds)) + bag
        first = bag.pop()
        together = random.random() < TWO_AT_ONCE and bag and _server_of(bag[-1]) != _server_of(first)
        if together and not {first, bag[-1]} & set(alone):
            yield sorted([first, bag.pop()])
        else:
            alone = [kind for kind in alone if kind != first]
            yield [first]


def _server_of(kind: str) -> str:
    """The server that a fault harms; for the others the fault itself."""
    family = kind.partition("_")[0]
    return family if family in ("valkey", "postgres") else kind
