"""Reactions: who is to be told what happens, and what becomes of each telling. Pure.

A *delivery* is one happening for one reaction. The leader moves it along the arrows; `ASKED` lives in its memory alone, so that another
leader tells again what it finds `WAITING`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Set
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from hedgerow.errors import HedgerowError, Problem
from hedgerow.manifest.model import Reaction
from hedgerow.protocol.happenings import MAX_ASSETS, Event
from hedgerow.selection import Looks
from hedgerow_scheduler.automation.schedules import Place
from hedgerow_scheduler.lifecycle.evaluations import Answer
from hedgerow_scheduler.lifecycle.retries import retry_delay
from hedgerow_scheduler.planning.catalog import Catalog
from hedgerow_scheduler.planning.selection import select_keys

MAX_LOOKS = (
    3_000_000  # of all selections of a location's reactions: about a second's work, whenever code comes into force
)
MOST_WAITING = 1_000  # deliveries of one reaction; what happens beyond them is counted and not told
ASKED_AGAIN = timedelta(seconds=5)  # when no worker answered
GIVEN_UP_AFTER = timedelta(days=1)  # when no worker answers at all
REPORT = "Report it with the scheduler's log."
log = logging.getLogger("hedgerow.automation")


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    ASKED = "asked"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    DROPPED = "dropped"


# Each arrow with what moves a delivery along it.
DELIVERY_ARROWS: dict[tuple[DeliveryState, DeliveryState], str] = {
    (
        DeliveryState.WAITING,
        DeliveryState.ASKED,
    ): "it is due, its team is not paused, and a worker serves the code in force",
    (DeliveryState.ASKED, DeliveryState.DELIVERED): "the function returned",
    (DeliveryState.ASKED, DeliveryState.WAITING): "the function failed and may be told again, or no worker answered",
    (
        DeliveryState.ASKED,
        DeliveryState.GIVEN_UP,
    ): "the function failed once too often, or no worker answered for a day",
    (DeliveryState.WAITING, DeliveryState.DROPPED): "the reaction is no longer declared, or switched off",
    (DeliveryState.ASKED, DeliveryState.DROPPED): "the reaction is no longer declared, or switched off",
    (DeliveryState.GIVEN_UP, DeliveryState.WAITING): "someone asks for it, and no more wait than may",
}
OVER = frozenset({DeliveryState.DELIVERED, DeliveryState.GIVEN_UP, DeliveryState.DROPPED})


class Delivery(msgspec.Struct, frozen=True):
    """One happening for one reaction (`team` and `name`). `created_at` is when it began to wait: with what happened, or when
    someone asked for it to be told again; `attempts` counts the tellings that failed since then, `next_at` says when it is told.
    """

    id: str
    team: str
    name: str
    event: Event
    created_at: datetime
    next_at: datetime
    attempts: int = 0


class Told(msgspec.Struct, frozen=True):
    """What has become of a delivery, with why it failed and the end of what the function printed."""

    delivery: Delivery
    state: DeliveryState
    error: Problem | None = None
    log: str = ""
    duration_ms: int = 0


class Listener(msgspec.Struct, frozen=True):
    """A reaction with the assets it listens to (None: its team's own)."""

    place: Place
    reaction: Reaction
    keys: frozenset[str] | None


class Listeners:
    """All reactions that are on, by the kinds that they want to hear of. `problems` are those whose selection can't be resolved."""

    def __init__(self, catalog: Catalog | None = None) -> None:
        self.by_title: dict[str, Listener] = {}
        self.problems: dict[str, Problem] = {}
        self._catalog = catalog or Catalog()
        self._by_kind: defaultdict[str, list[Listener]] = defaultdict(list)
        for (team, location), published in self._catalog.published.items():
            looks = Looks(MAX_LOOKS)
            for reaction in published.manifest.reactions:
                if reaction.enabled:
                    self._add(Place(team, location, reaction.name), reaction, looks)

    @property
    def kinds(self) -> Set[str]:
        """The kinds of which someone wants to hear."""
        return frozenset(self._by_kind)

    def of(self, event: Event) -> list[Listener]:
        """Those that are to be told of something, in order of their declaration."""
        return [each for each in self._by_kind.get(event.kind, ()) if self._wants(each, event)]

    def _add(self, place: Place, reaction: Reaction, looks: Looks) -> None:
        keys = None
        if reaction.selection:
            try:
                keys = frozenset(select_keys(self._catalog, tuple(reaction.selection.split()), looks))
            except HedgerowError as error:
                self.problems[place.title] = error.problems[0]
                return
            except Exception as error:  # a defect: of this reaction alone
                log.exception("the selection of reaction %s can't be resolved", place.title)
                self.problems[place.title] = Problem("HR-Q014", f"It can't be resolved: {error!r}.", REPORT)
                return
        listener = self.by_title[place.title] = Listener(place, reaction, keys)
        for kind in reaction.kinds:
            self._by_kind[kind].append(listener)

    def _wants(self, listener: Listener, event: Event) -> bool:
        if listener.reaction.severity not in (None, event.severity):
            return False
        if not event.assets:
            return event.team == listener.place.team
        if listener.keys is not None:
            return not listener.keys.isdisjoint(event.assets)
        declared = (self._catalog.assets.get(key) for key in event.assets)
        return any(asset is not None and asset.team == listener.place.team for asset in declared)


def visible(event: Event, team: str, id: str) -> Event:
    """What a team is told of something: of another team's, that it happened and to which assets, and nothing of what its code said."""
    number = len(event.assets)
    many = {"assets": number} if number > MAX_ASSETS else {}
    named = msgspec.structs.replace(event, id=id, assets=event.assets[:MAX_ASSETS], details=event.details | many)
    return named if event.team in ("", team) else msgspec.structs.replace(named, message="", details=many)


def after(delivery: Delivery, reaction: Reaction, answer: Answer, now: datetime, noise: float) -> Told:
    """What becomes of a delivery by an answer."""
    about = (answer.error, answer.log, answer.duration_ms)
    if answer.reason == "ok":
        return Told(delivery, DeliveryState.DELIVERED, None, answer.log, answer.duration_ms)
    if answer.reason == "lost":
        waits = now - delivery.created_at < GIVEN_UP_AFTER
        state = DeliveryState.WAITING if waits else DeliveryState.GIVEN_UP
        return Told(msgspec.structs.replace(delivery, next_at=now + ASKED_AGAIN), state, *about)
    failed = msgspec.structs.replace(delivery, attempts=delivery.attempts + 1)
    if failed.attempts > reaction.retry.attempts:
        return Told(failed, DeliveryState.GIVEN_UP, *about)
    delay = retry_delay(reaction.retry, delivery.attempts, noise)
    return Told(msgspec.structs.replace(failed, next_at=now + delay), DeliveryState.WAITING, *about)


def told_again(delivery: Delivery, now: datetime) -> Delivery:
    """A delivery that was given up, as someone asks for it: it begins to wait anew, due now, with all its tries."""
    return msgspec.structs.replace(delivery, created_at=now, next_at=now, attempts=0)
