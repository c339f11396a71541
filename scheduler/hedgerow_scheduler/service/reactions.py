"""Telling reactions what happens: deliveries are recorded with what happened, told at once, and told again until they have arrived."""

from __future__ import annotations

import heapq
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

import msgspec

from hedgerow.errors import Problem
from hedgerow.protocol.happenings import Event
from hedgerow_scheduler.automation.agenda import Agenda
from hedgerow_scheduler.automation.pauses import Pauses
from hedgerow_scheduler.automation.reactions import (
    ASKED_AGAIN,
    MOST_WAITING,
    OVER,
    REPORT,
    Delivery,
    DeliveryState,
    Listener,
    Listeners,
    Told,
    after,
    told_again,
    visible,
)
from hedgerow_scheduler.automation.schedules import Place
from hedgerow_scheduler.lifecycle.evaluations import Answer
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.metadata.store import Transaction
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.snapshot import Snapshot

KIND: Final = "reaction"
ASKED_PER_CYCLE = 50
ASKED_AT_ONCE = 4  # of one reaction
log = logging.getLogger("hedgerow.scheduler")


class Reactions:
    """The reactions of one term. `waiting` are the deliveries that are not over; `noise` spreads their retries.

    Each reaction has a line of its own, and only its head is on the agenda, in turns with those of other teams. One that has as many
    out as may be, or is held back, is not looked at until that is over: what waits in it costs nothing and delays nobody.
    """

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
        self._lines: dict[str, list[tuple[datetime, int, str]]] = {}
        self._agenda = Agenda()
        self._tie = count()
        self._listeners = Listeners()
        self._catalog: Catalog | None = None
        self.pauses = Pauses()
        self._take_up()  # at once: what happens in the first cycle is to be told as well
        for each in self._waiting.values():
            self._put(each)

    def next_due(self) -> datetime | None:
        """When the next delivery is due."""
        return self._agenda.next()

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
            self._end(self._after(delivery, answer, now))
            self._look_at(title)
        for event in self._snapshot.happenings.take():
            for listener in self._listeners.of(event):
                self._hear(listener, visible(event, listener.place.team, self._new_id()), now)
        for _ in range(ASKED_AT_ONCE):
            for place in self._agenda.take(now, ASKED_PER_CYCLE):
                try:
                    self._tell(place, now)
                except (
                    Exception
                ):  # a defect: of this reaction alone, which is told nothing until other code comes into force
                    log.exception("reaction %s can't be told", place.title)

    def _after(self, delivery: Delivery, answer: Answer, now: datetime) -> Told:
        """What becomes of a delivery by an answer."""
        try:
            return after(delivery, self._listeners.by_title[_title(delivery)].reaction, answer, now, self._noise())
        except Exception as error:  # a defect: of this reaction alone
            log.exception("what becomes of a delivery to reaction %s can't be told", _title(delivery))
            problem = Problem("HR-Q014", f"Its answer could not be taken: {error!r}.", REPORT)
            return Told(delivery, DeliveryState.GIVEN_UP, problem)

    def retry(self, transaction: Transaction, command: PendingCommand, now: datetime) -> dict[str, Any]:
        """Takes a command to tell again what was given up; how many deliveries that are. Of one that waits already nothing changes."""
        if self._snapshot.catalog is not self._catalog:
            self._take_up()
        team, name = str(command.body.get("team", "")), str(command.body.get("name", ""))
        title, asked = f"{team}/{name}", frozenset(command.body.get("deliveries", ()))
        if title not in self._listeners.by_title:
            return {"refused": f"Reaction '{title[:160]}' is off, or no team declares it any more."}
        given_up = [each for each in transaction.given_up(team, name) if each.id in asked - self._waiting.keys()]
        fits = given_up[: max(0, MOST_WAITING - self._counts[title])]
        for delivery in fits:
            fresh = told_again(delivery, now)
            self._waiting[fresh.id] = fresh
            self._counts[title] += 1
            self._snapshot.changes.retried.append(fresh)
            self._snapshot.measure("reaction_deliveries", (team, "retried"))
            self._put(fresh)
        if len(fits) < len(given_up):
            return {"retried": len(fits), "refused": f"{MOST_WAITING:,} deliveries of '{title}' wait already."}
        return {"retried": len(fits)}

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
        self._agenda = Agenda()
        for title in self._lines:
            self._look_at(title)

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
        self._put(delivery)

    def _tell(self, place: Place, now: datetime) -> None:
        """Tells a reaction what is first in its line."""
        line = self._lines[place.title]
        while line and line[0][2] not in self._waiting:  # dropped
            heapq.heappop(line)
        if not line:
            return
        if self.pauses.over_team(place.team, now) is not None or not self._ask(self._waiting[line[0][2]], now):
            self._agenda.put_at(place, now + ASKED_AGAIN)
            return
        heapq.heappop(line)
        self._look_at(place.title)

    def _ask(self, delivery: Delivery, now: datetime) -> bool:
        listener = self._listeners.by_title[_title(delivery)]
        argument = msgspec.Raw(msgspec.json.encode(delivery.event))
        timeout = timedelta(milliseconds=listener.reaction.timeout_ms)
        place = listener.place
        id = self._snapshot.evaluations.ask(place.team, place.location, KIND, place.name, argument, timeout, now)
        if id is None:
            return False
        self._asked[id] = delivery.id
        self._at_once[place.title] += 1
        return True

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
            self._put(delivery)

    def _put(self, delivery: Delivery) -> None:
        """Into the line of its reaction."""
        title = _title(delivery)
        heapq.heappush(self._lines.setdefault(title, []), (delivery.next_at, next(self._tie), delivery.id))
        self._look_at(title)

    def _look_at(self, title: str) -> None:
        """The head of a line is on the agenda, if more may be out and anything is to be told at all."""
        listener, line = self._listeners.by_title.get(title), self._lines.get(title)
        if listener is not None and line and self._enabled and self._at_once[title] < ASKED_AT_ONCE:
            self._agenda.put_at(listener.place, line[0][0])


def _title(delivery: Delivery) -> str:
    return f"{delivery.team}/{delivery.name}"
