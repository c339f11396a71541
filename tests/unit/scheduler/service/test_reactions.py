"""The reactions of a term: what is told, told again, held back and only counted."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from support.scheduling import NOW, World, asset, chunks, manifest, uuid

from hedgerow.manifest.model import Reaction, Retry
from hedgerow.protocol.events import Evaluated
from hedgerow.protocol.happenings import Event
from hedgerow_scheduler.automation.pauses import Pause, Pauses
from hedgerow_scheduler.automation.reactions import Delivery, DeliveryState
from hedgerow_scheduler.lifecycle.changes import Changes
from hedgerow_scheduler.lifecycle.model import Worker
from hedgerow_scheduler.metadata.commands import PendingCommand
from hedgerow_scheduler.service import reactions as service
from hedgerow_scheduler.service.reactions import ASKED_AT_ONCE, Reactions

TELL = Reaction("tell", ("step_failed",), retry=Retry(1, 10_000, "constant", jitter=False))


class Term:
    """A term of leadership over one team's reactions; the team's worker answers as it is told."""

    def __init__(self, *reactions: Reaction, enabled: bool = True, waiting: tuple[Delivery, ...] = ()) -> None:
        self.world = World()
        self.deploy(*reactions)
        self.ids = map(uuid, count(500))
        self.reactions = Reactions(self.world.snapshot, waiting, enabled, lambda: next(self.ids), lambda: 0.5)
        self.recorded: list[Changes] = []

    def deploy(self, *reactions: Reaction) -> None:
        self.world.send("sales", *chunks(manifest("sales", asset("orders"), reactions=reactions)))
        self.world.recorded()
        code = self.world.snapshot.catalog.manifest_hash("sales", "sales") or ""
        self.world.snapshot.workers["sales", "w"] = Worker(
            "sales", "w", "sales", code, ("default",), 1, 0, "ready", NOW, NOW
        )

    def happen(self, times: int = 1) -> None:
        for _ in range(times):
            self.world.snapshot.happenings.add("step_failed", "sales", self.world.now, ("orders",), "it broke")

    def turn(self, after: float = 0) -> Changes:
        """One cycle; what it records."""
        self.world.after(seconds=after)
        self.world.snapshot.evaluations.turn(self.world.now)
        self.reactions.turn(self.world.now)
        return self.world.recorded()[0]

    def asked(self) -> list[str]:
        """The evaluations that are asked for now."""
        return [message.evaluation_id for _, message in self.world.snapshot.evaluations.outgoing()]

    def answer(self, evaluation: str, reason: Any = "ok") -> None:
        told = Evaluated(evaluation, "reaction", "tell", reason)
        assert self.world.snapshot.evaluations.answer("sales", told)


def test_what_happens_is_recorded_and_told_in_the_same_cycle() -> None:
    term = Term(TELL)
    term.happen()
    (delivery,) = term.turn().deliveries
    assert (delivery.event.id, delivery.event.assets, delivery.event.message) == (delivery.id, ("orders",), "it broke")
    (evaluation,) = term.asked()
    term.answer(evaluation)
    (told,) = term.turn().told.values()
    assert (told.state, told.delivery.id) == (DeliveryState.DELIVERED, delivery.id)
    assert term.reactions.next_due() is None


def test_it_is_told_again_after_its_delay_and_given_up_after_its_retries() -> None:
    term = Term(TELL)
    term.happen()
    term.turn()
    term.answer(term.asked()[0], "user_error")
    assert [each.state for each in term.turn().told.values()] == [DeliveryState.WAITING]
    assert term.turn(after=9).told == {}
    assert term.asked() == []
    term.turn(after=1)
    term.answer(term.asked()[0], "timed_out")
    assert [each.state for each in term.turn().told.values()] == [DeliveryState.GIVEN_UP]


def test_what_another_leader_left_waiting_is_told() -> None:
    term = Term(TELL)
    term.happen()
    (left,) = term.turn().deliveries
    following = Term(TELL, waiting=(left,))
    following.turn()
    assert len(following.asked()) == 1


def test_only_so_much_of_one_reaction_is_told_at_once_and_a_flood_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_WAITING", 10)
    term = Term(TELL)
    term.happen(25)
    changes = term.turn()
    assert (len(changes.deliveries), changes.suppressed) == (10, {("sales", "tell"): 15})
    delivered = 0
    while asked := term.asked():
        assert len(asked) <= ASKED_AT_ONCE
        for each in asked:
            term.answer(each)
        delivered += len(asked)
        term.turn(after=0.2)
    assert delivered == 10


def test_a_pause_of_the_team_holds_deliveries_back_and_none_is_lost() -> None:
    term = Term(TELL)
    term.reactions.pauses = Pauses([Pause("team", "sales", "ann", "moving", NOW, None)])
    term.happen()
    assert len(term.turn().deliveries) == 1
    assert term.asked() == []
    term.reactions.pauses = Pauses()
    term.turn(after=6)
    assert len(term.asked()) == 1


def test_without_a_worker_it_waits() -> None:
    term = Term(TELL)
    term.world.snapshot.workers.clear()
    term.happen()
    term.turn()
    assert term.asked() == []
    term.deploy(TELL)
    term.turn(after=6)
    assert len(term.asked()) == 1


def test_what_is_no_longer_declared_is_told_nothing_any_more() -> None:
    term = Term(TELL)
    term.happen()
    term.turn()
    (evaluation,) = term.asked()
    term.deploy()
    assert [each.state for each in term.turn().told.values()] == [DeliveryState.DROPPED]
    term.answer(evaluation)
    assert term.turn().told == {}


def test_a_flood_of_one_reaction_delays_no_other_and_costs_no_look_while_it_is_busy() -> None:
    other = Reaction("other", ("run_failed",))
    term = Term(TELL, other)
    term.happen(1_000)
    term.turn()
    assert len(term.asked()) == ASKED_AT_ONCE  # which hang
    assert term.reactions.next_due() is None
    term.world.snapshot.happenings.add("run_failed", "sales", term.world.now, ("orders",))
    term.turn()
    assert len(term.asked()) == 1


def test_where_nothing_is_launched_by_itself_nothing_is_told() -> None:
    term = Term(TELL, enabled=False)
    term.happen()
    assert term.turn().deliveries == []
    term = Term(TELL)
    term.happen()
    (left,) = term.turn().deliveries
    following = Term(TELL, enabled=False, waiting=(left,))
    following.turn()
    assert following.asked() == []


class Kept:
    """What a transaction finds given up."""

    def __init__(self, *deliveries: Delivery) -> None:
        self.deliveries = deliveries

    def given_up(self, team: str, name: str) -> tuple[Delivery, ...]:
        return tuple(each for each in self.deliveries if (each.team, each.name) == (team, name))


def given_up(number: int, name: str = "tell") -> Delivery:
    event = Event("step_failed", id=uuid(number), team="sales", assets=("orders",))
    return Delivery(event.id, "sales", name, event, NOW - timedelta(days=3), NOW - timedelta(days=2), 2)


def retry(term: Term, kept: Kept, *numbers: int, name: str = "tell") -> dict[str, Any]:
    body = {"team": "sales", "name": name, "deliveries": [uuid(number) for number in numbers]}
    command = PendingCommand(7, "retry_deliveries", body, "ann")
    return term.reactions.retry(kept, command, term.world.now)  # type: ignore[arg-type]


def test_what_was_given_up_is_told_again_once_with_all_its_tries_however_often_it_is_asked_for() -> None:
    term, kept = Term(TELL), Kept(given_up(1), given_up(2), given_up(3, "other"))
    assert retry(term, kept, 1, 3, 99) == {"retried": 1}
    assert retry(term, kept, 1) == {"retried": 0}
    (fresh,) = term.turn().retried
    assert (fresh.id, fresh.attempts, fresh.next_at) == (uuid(1), 0, NOW)
    for state in (DeliveryState.WAITING, DeliveryState.GIVEN_UP):
        (evaluation,) = term.asked()
        term.answer(evaluation, "user_error")
        assert [each.state for each in term.turn().told.values()] == [state]
        term.turn(after=10)
    assert retry(term, kept, 1) == {"retried": 1}


def test_no_more_is_told_again_than_may_wait_and_nothing_by_a_reaction_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "MOST_WAITING", 3)
    term, kept = Term(TELL), Kept(*map(given_up, range(1, 6)))
    term.happen(2)
    term.turn()
    outcome = retry(term, kept, *range(1, 6))
    assert (outcome["retried"], "wait already" in outcome["refused"]) == (1, True)
    assert [each.id for each in term.turn().retried] == [uuid(1)]
    assert "no team declares it" in retry(term, kept, 1, name="nobody")["refused"]
    term.deploy()
    assert "refused" in retry(term, kept, 2)
    assert term.turn().retried == []
