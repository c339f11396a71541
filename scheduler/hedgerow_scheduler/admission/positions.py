"""Positions: how many ready steps come before one, in its queue and among the teams that wait for the same pool. Estimates all of
them: turns go on while steps wait, and whoever is passed over for long rises.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

import msgspec


class Crowd(msgspec.Struct, frozen=True):
    """The ready steps of one run in one band of priority. `sharer` is who takes turns with others for what they wait for, by
    `weight`; `urgency` the priority that operators gave the run, which is part of `band`.
    """

    run_id: str
    created_at: datetime
    urgency: int
    band: int
    steps: int
    sharer: str = ""
    weight: float = 1.0


def ahead_of(mine: Crowd, place: int, crowds: Iterable[Crowd]) -> int:
    """How many steps come before the one at `place` (from 0) of its crowd.

    Among those of one sharer, higher bands come first, and in its band runs take turns: each of the others has had one turn more,
    or as many, when it is this step's. Sharers then take turns by weight, those with more urgent runs first.

    >>> at = datetime(2024, 6, 1)
    >>> old, new = Crowd("a", at, 0, 0, 100), Crowd("b", at.replace(hour=1), 0, 0, 3)
    >>> ahead_of(new, 2, [old, new]), ahead_of(old, 2, [old, new]), ahead_of(old, 50, [old, new])
    (5, 4, 53)
    """
    within, urgent, others = place, 0, defaultdict[str, list[Crowd]](list)
    for crowd in crowds:
        if crowd.sharer == mine.sharer:
            within += _before(crowd, mine, place)
        elif crowd.urgency > mine.urgency:
            urgent += crowd.steps
        elif crowd.urgency == mine.urgency:
            others[crowd.sharer].append(crowd)
    turns = sum(
        min(sum(crowd.steps for crowd in theirs), int((within + 1) * theirs[0].weight / mine.weight))
        for theirs in others.values()
    )
    return within + urgent + turns


def _before(crowd: Crowd, mine: Crowd, place: int) -> int:
    """How many steps of another crowd of the same sharer come first."""
    if crowd.band != mine.band:
        return crowd.steps if crowd.band > mine.band else 0
    if crowd.run_id == mine.run_id:
        return 0
    older = (crowd.created_at, crowd.run_id) < (mine.created_at, mine.run_id)
    return min(crowd.steps, place + older)
