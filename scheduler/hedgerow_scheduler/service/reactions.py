"""Telling reactions what happens: deliveries are recorded with what happened, told at once, and told again until they have arrived."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import count
from typing import Final

import msgspec

from hedgerow.protocol.happenings import Event
from hedgerow_scheduler.automation.pauses import Pauses
from hedgerow_scheduler.automation.reactions import (
    ASKED_AGAIN,
    MOST_WAITING,
    OVER,
    Delivery,
    DeliveryState,
    Listener,
    Listeners,
    Told,
    after,
    visible,
)
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.snapshot import Snapshot

KIND: Final = "reaction"
ASKED_PER_CYCLE = 50
ASKED_AT_ONCE = 4  # of one reaction


class Reactions:
    """The reactions of one term. `waiting` are the deliveries that are not over; `noise` spreads their retries."""

    def __init__(
        self,
        snapshot: Snapshot,
        waiting: Iterable[Delivery],
        enabled: bool,
        new_id: Callable[[], str],
        noise: Callable[[], float],
    ) -> None:
        self._snapshot, self._enabled, self._new_id, self._noise = snapshot, enabled, new_id, noise
        self._waiting = {each.id: each for each in waiting}
        self._asked: dict[str, str] = {}  # the delivery of each evaluation that is under way
        self._counts: Counter[str] = Counter(_title(each) for each in self._waiting.values())
        self._at_once: Counter[str] = Counter()
        self._due: list[tuple[datetime, int, str]] = []
        self._tie = count()
        self._listeners = Listeners()
        self._catalog: Catalog | None = None
        self.pauses = Pauses()
        for each in self._waiting.values():
            self._put(each.id, each.next_at)
        self._take_up()  # at once: what happens in the first cycle is to be told as well

    def next_due(self) -> datetime | None:
        """When the next delivery is due."""
        return self._due[0][0] if self._due else None

    def turn(self, now: datetime) -> None:
        """Takes what was answered and what has happened, and tells what is due."""
        if self._snapshot.catalog is not self._catalog:
            self._take_up()
        for answer in self._snapshot.evaluations.take(KIND):
            id = self._asked.pop(answer.id, None)
            if id is None or (delivery := self._waiting.get(id)) is None:
                continue
            title = _title(delivery)
            self._at_once[title] -= 1
            self._end(after(delivery, self._listeners.by_title[title].reaction, answer, now, self._noise()))
        for event in self._snapshot.happenings.take():
            for listener in self._listeners.of(event):
                self._hear(listener, visible(event, listener.place.team, self._new_id()), now)
        self._tell(now)

    def _take_up(self) -> None:
        """Other code has come into force: what is no longer declared is told nothing any more."""
        self._catalog = self._snapshot.catalog
        self._listeners = Listeners(self._catalog)
        self._snapshot.happenings.wanted = self._listeners.kinds if self._enabled else frozenset()
        for delivery in list(self._waiting.values()):
            if _title(delivery) not in self._listeners.by_title:
                self._end(Told(delivery, DeliveryState.DROPPED))
        self._asked = {evaluation: id for evaluation, id in self._asked.items() if id in self._waiting}
        self._at_once = Counter(_title(self._waiting[id]) for id in self._asked.values())

    def _hear(self, listener: Listener, event: Event, now: datetime) -> None:
        title = listener.place.title
        team, name = listener.place.team, listener.place.name
        if self._counts[title] >= MOST_WAITING:
            self._snapshot.changes.suppressed[team, name] = self._snapshot.changes.suppressed.get((team, name), 0) + 1
            self._snapshot.measure("reaction_deliveries", (team, "suppressed"))
            return
        delivery = Delivery(event.id, team, name, event, now, now)
        self._waiting[delivery.id] = delivery
        self._counts[title] += 1
        self._snapshot.changes.deliveries.append(delivery)
        self._put(delivery.id, now)

    def _tell(self, now: datetime) -> None:
        later: list[str] = []
        for _ in range(ASKED_PER_CYCLE):
            if not self._due or self._due[0][0] > now:
                break
            id = heapq.heappop(self._due)[2]
            delivery = self._waiting.get(id)
            if delivery is None:
                continue
            if not self._ask(delivery, now):
                later.append(id)
        for id in later:
            self._put(id, now + self._rest(self._waiting[id], now))

    def _ask(self, delivery: Delivery, now: datetime) -> bool:
        title = _title(delivery)
        listener = self._listeners.by_title[title]
        if self._at_once[title] >= ASKED_AT_ONCE or self.pauses.over_team(delivery.team, now) is not None:
            return False
        argument = msgspec.Raw(msgspec.json.encode(delivery.event))
        timeout = timedelta(milliseconds=listener.reaction.timeout_ms)
        place = listener.place
        id = self._snapshot.evaluations.ask(place.team, place.location, KIND, place.name, argument, timeout, now)
        if id is None:
            return False
        self._asked[id] = delivery.id
        self._at_once[title] += 1
        return True

    def _rest(self, delivery: Delivery, now: datetime) -> timedelta:
        """How long one waits that could not be told now."""
        busy = self._at_once[_title(delivery)] >= ASKED_AT_ONCE
        return (
            timedelta(milliseconds=100) if busy and self.pauses.over_team(delivery.team, now) is None else ASKED_AGAIN
        )

    def _end(self, told: Told) -> None:
        """Records what has become of a delivery."""
        delivery = told.delivery
        self._snapshot.changes.told[delivery.id] = told
        if told.state in OVER:
            del self._waiting[delivery.id]
            self._counts[_title(delivery)] -= 1
            self._snapshot.measure("reaction_deliveries", (delivery.team, told.state.value))
        else:
            self._waiting[delivery.id] = delivery
            self._put(delivery.id, delivery.next_at)

    def _put(self, id: str, at: datetime) -> None:
        heapq.heappush(self._due, (at, next(self._tie), id))


def _title(delivery: Delivery) -> str:
    return f"{delivery.team}/{delivery.name}"
