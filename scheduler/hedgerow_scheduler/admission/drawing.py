"""Drawing: has the next of very many groups looked at that wait together, one after the other, as far as they may go."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from hedgerow_scheduler.admission.cycle import Cycle
from hedgerow_scheduler.lifecycle.waits import Cause
from hedgerow_scheduler.limits.limit import Limit
from hedgerow_scheduler.limits.lines import Group, Lane, Line, Place
from hedgerow_scheduler.limits.parking import Draw, Parking

MAX_DRAWN = 512  # groups of one place in one cycle


class Drawing:
    """What one place draws in one cycle, from limits and from queues that have too many groups to look at all of them.

    `rank` orders lanes, `is_open` says whether a queue lets anyone out, `enter` takes in a group that is to be looked at.
    """

    def __init__(
        self,
        cycle: Cycle,
        place: Place,
        rank: Callable[[Lane], Any],
        is_open: Callable[[Line], bool],
        enter: Callable[[Group], None],
    ) -> None:
        self._cycle, self._place, self._rank, self._is_open, self._enter = cycle, place, rank, is_open, enter
        self._draws: dict[Limit | Line, Draw] = {}
        self._drawn: dict[Group, Limit | Line] = {}
        self._left = MAX_DRAWN

    def from_line(self, line: Line) -> None:
        """Draws from the groups of a queue that no limit holds up, as far as is known."""
        line.crowd.renew()
        self._draw_of(line, line.crowd)
        self._next(line)

    def from_limit(self, limit: Limit) -> None:
        """Draws from the groups that are parked on a limit; those first for which slots are kept, or may have to be."""
        kept_for: Group | None = limit.reserved_for
        if kept_for is not None and kept_for.parked_on is limit and kept_for.lane.line.place == self._place:
            self._wake(kept_for)
        if (asking := self._draw_of(limit, limit.parked).asking()) is not None:
            self._wake(asking)
        self._next(limit, 1)

    def after(self, group: Group) -> None:
        """A group was tried, or can't be: the next one of those among which it was."""
        source = self._drawn.pop(group, None)
        if source is None or source not in self._draws:
            return
        if isinstance(source, Line) or source.refusal(1, self._cycle.now) is None:
            self._next(source)

    def _draw_of(self, source: Limit | Line, parked: Parking) -> Draw:
        draw = Draw(parked, self._place, self._rank, lambda lane: self._is_open(lane.line))
        self._draws[source] = draw
        return draw

    def _next(self, source: Limit | Line, least: float = 0) -> None:
        if self._left <= 0:
            self._cycle.due = self._cycle.now  # the rest in the next cycle, at once
            return
        free = source.free_for(None) if isinstance(source, Limit) else inf
        group = self._draws[source].next(max(free, least))
        if group is None:
            del self._draws[source]
            return
        self._left -= 1
        self._drawn[group] = source
        self._wake(group)

    def _wake(self, group: Group) -> None:
        line = group.lane.line
        if group.parked_on is not None:
            group.hold_up(Cause.TURN, None, self._cycle.now)
        line.drop(group)
        line.unparked[group] = None
        self._enter(group)
