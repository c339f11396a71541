"""The agenda: every schedule or sensor that is on, in a heap by when it is due, so that looking costs nothing until one is."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from itertools import count

from hedgerow.cron import Cron, next_tick
from hedgerow_scheduler.automation.schedules import Place


class Agenda:
    """The next tick of each schedule that is on."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Place]] = []
        self._entries: dict[Place, int] = {}  # the number of the one entry in the heap that counts
        self._numbers = count()

    def put(self, place: Place, times: Cron, last: datetime) -> None:
        """The schedule's next tick is the first one after `last`."""
        self._push(next_tick(times, last), place)

    def put_at(self, place: Place, at: datetime) -> None:
        """What is at this place is due then."""
        self._push(at, place)

    def drop(self, place: Place) -> None:
        """The schedule is off."""
        self._entries.pop(place, None)

    def next(self) -> datetime | None:
        """When the next tick comes due."""
        while self._heap and self._entries.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, now: datetime, most: int) -> list[Place]:
        """Takes out at most `most` schedules of which a tick is due: teams in turns, each with its oldest tick first. They have to
        be put in again; the others stay.
        """
        found: list[tuple[datetime, Place]] = []
        while (tick := self.next()) is not None and tick <= now:
            _, _, place = heapq.heappop(self._heap)
            del self._entries[place]
            found.append((tick, place))
        ordered = list(_in_turns(found))
        for tick, place in ordered[most:]:
            self._push(tick, place)
        return [place for _, place in ordered[:most]]

    def _push(self, tick: datetime, place: Place) -> None:
        number = next(self._numbers)
        self._entries[place] = number
        heapq.heappush(self._heap, (tick, number, place))


def _in_turns(found: Iterable[tuple[datetime, Place]]) -> Iterable[tuple[datetime, Place]]:
    lines: dict[str, deque[tuple[datetime, Place]]] = {}
    for entry in found:
        lines.setdefault(entry[1].team, deque()).append(entry)
    while lines:
        for team in list(lines):
            yield lines[team].popleft()
            if not lines[team]:
                del lines[team]
