"""Asking the conditions of teams' own code: when, of what, and what becomes of the answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from support.scheduling import NOW, World, asset, chunks, manifest

from hedgerow.conditions.model import Condition, Custom, Missing
from hedgerow.errors import Problem
from hedgerow.manifest.model import CustomCondition
from hedgerow.partitions.constructors import daily
from hedgerow.protocol.conditions import ConditionAnswer, ConditionQuestion
from hedgerow.protocol.events import Evaluated
from hedgerow_scheduler.automation.facts import EMPTY
from hedgerow_scheduler.lifecycle.evaluations import BEGIN_WITHIN, GRACE
from hedgerow_scheduler.lifecycle.model import Worker
from hedgerow_scheduler.metadata.automation import StoredFacts
from hedgerow_scheduler.service.automating import Automating

OPEN = CustomCondition("is_open", 60_000, 10_000)
IS_OPEN = Custom("is_open")
DAYS = daily("2024-05-30")


class Term:
    """A term of leadership over one team's assets `orders`, and `days` by day; the team's worker answers as it is told."""

    def __init__(self, memories: dict[str, bytes] | None = None, automation: Condition = IS_OPEN) -> None:
        self.world, self.automation = World(), automation
        self.deploy()
        self.number = self.broken = 0
        self.automating = Automating(self.world.snapshot, memories or {}, True, self.id, lambda _: EMPTY)

    def id(self) -> str:
        self.number += 1
        return f"run {self.number}"

    def deploy(self, description: str = "") -> None:
        made = [asset("orders"), asset("days", partitions=DAYS)]
        code = manifest("sales", *made, conditions=(msgspec.structs.replace(OPEN, description=description),))
        assets = tuple(msgspec.structs.replace(each, automation=self.automation) for each in code.assets)
        self.world.send("sales", *chunks(msgspec.structs.replace(code, assets=assets)))
        self.world.recorded()
        in_force = self.world.snapshot.catalog.manifest_hash("sales", "sales") or ""
        worker = Worker("sales", "w", "sales", in_force, ("default",), 1, 0, "ready", NOW, NOW)
        self.world.snapshot.workers["sales", "w"] = worker

    def facts(self, keys: Any, with_failures: Any) -> StoredFacts:
        return StoredFacts()

    def turn(self, after: float = 0) -> Any:
        """One cycle; what it records."""
        self.world.after(seconds=after)
        self.world.snapshot.evaluations.turn(self.world.now)
        while self.automating.turn(self, self.world.now, lambda: None):
            pass
        changes, effects = self.world.recorded()
        self.broken += sum(measure.metric == "conditions_broken" for measure in effects.measures)
        return changes

    def asked(self) -> dict[str, tuple[str, ConditionQuestion]]:
        """What is asked now: by asset the evaluation and the question."""
        found = {}
        for _, message in self.world.snapshot.evaluations.outgoing():
            question = msgspec.json.decode(message.argument, type=ConditionQuestion)
            found[question.asset] = (message.evaluation_id, question)
        return found

    def answer(self, evaluation: str, answer: object = None, reason: Any = "ok", error: Problem | None = None) -> None:
        result = msgspec.Raw(msgspec.json.encode(answer))
        told = Evaluated(evaluation, "condition", "is_open", reason, result, error)
        assert self.world.snapshot.evaluations.answer("sales", told)


def launched(changes: Any) -> list[tuple[str, str | None]]:
    return [(key, step.partition) for new in changes.new_runs for step in new.run.steps for key in step.assets]


def test_each_asset_is_asked_for_at_once_and_then_at_intervals_with_its_partitions() -> None:
    term = Term()
    term.turn()
    asked = term.asked()
    assert asked["orders"][1].partitions == ()
    assert asked["days"][1].partitions == ("2024-05-30", "2024-05-31")
    for evaluation, _ in asked.values():
        term.answer(evaluation, ConditionAnswer(False))
    assert launched(term.turn()) == []
    term.turn(after=59)
    assert term.asked() == {}
    term.turn(after=1)
    assert term.asked().keys() == {"orders", "days"}


def test_what_it_holds_for_is_requested_once_and_a_later_answer_that_is_the_same_is_no_news() -> None:
    term = Term()
    term.turn()
    asked = term.asked()
    term.answer(asked["days"][0], ConditionAnswer(False, ("2024-05-31",)))
    term.answer(asked["orders"][0], ConditionAnswer(True))
    assert sorted(launched(term.turn()), key=str) == [("days", "2024-05-31"), ("orders", None)]
    for _ in range(2):
        term.turn(after=60)
        for evaluation, question in term.asked().values():
            term.answer(evaluation, ConditionAnswer(question.asset == "orders", question.partitions[1:]))
        assert launched(term.turn()) == []


def test_another_leader_knows_the_last_answers_and_requests_nothing_twice() -> None:
    term = Term()
    term.turn()
    term.answer(term.asked()["orders"][0], ConditionAnswer(True))
    changes = term.turn()
    assert launched(changes) == [("orders", None)]
    following = Term(changes.memories)
    assert launched(following.turn()) == []
    following.answer(following.asked()["orders"][0], ConditionAnswer(True))
    assert launched(following.turn()) == []


def test_one_that_raises_stops_its_own_asset_visibly_and_is_asked_less_and_less_often_until_it_answers() -> None:
    term = Term()
    term.turn()
    asked = term.asked()
    error = Problem("HR-X001", "ValueError: closed", "Look.", traceback="Traceback\nValueError: closed")
    term.answer(asked["orders"][0], None, "user_error", error)
    term.answer(asked["days"][0], ConditionAnswer(True))
    changes = term.turn()
    assert {key for key, _ in launched(changes)} == {"days"}
    assert "'is_open' does not answer: ValueError: closed" in changes.evaluations["orders", "latest"].problem
    assert term.broken == 1
    waits = []
    for _ in range(3):
        began = term.world.now
        while "orders" not in (asked := term.asked()):
            term.turn(after=30)
        waits.append(term.world.now - began)
        term.answer(asked["orders"][0], None, "timed_out")
        term.turn()
    assert waits == sorted(waits)
    assert waits[-1] > timedelta(minutes=2)
    while "orders" not in (asked := term.asked()):
        term.turn(after=60)
    term.answer(asked["orders"][0], ConditionAnswer(False))
    assert term.turn().evaluations["orders", "latest"].problem == ""
    assert term.broken == 4


def test_an_answer_that_is_lost_is_asked_for_again_and_the_last_one_still_counts() -> None:
    term = Term()
    term.turn()
    term.answer(term.asked()["orders"][0], ConditionAnswer(True))
    term.turn()
    term.turn(after=60)
    assert "orders" in term.asked()
    lost = (BEGIN_WITHIN + timedelta(seconds=10) + GRACE).total_seconds()
    term.turn(after=lost)
    term.asked()
    changes = term.turn(after=6)
    assert "orders" in term.asked()
    assert ("orders", "latest") not in changes.evaluations


def test_nonsense_of_a_stranger_is_met() -> None:
    term = Term()
    term.turn()
    asked = term.asked()
    term.answer(asked["orders"][0], [1, 2])
    term.answer(asked["days"][0], ConditionAnswer(False, ("nonsense", "2024-05-31", "2999-01-01")))
    changes = term.turn()
    assert "can't be read" in changes.evaluations["orders", "latest"].problem
    assert launched(changes) == [("days", "2024-05-31")]


CLOSED = Problem("HR-X001", "ValueError: closed", "Look.", traceback="Traceback\nValueError: closed")


def told_all(term: Term, answer: object) -> Any:
    """Has every question that is out answered so; what is recorded then."""
    for evaluation, _ in term.asked().values():
        term.answer(evaluation, answer)
    return term.turn()


def test_what_is_joined_by_not_waits_for_the_first_answer_and_says_so() -> None:
    term = Term(automation=~Custom("is_open"))
    changes = term.turn()
    assert launched(changes) == []
    assert "'is_open' has not answered yet" in changes.evaluations["orders", "latest"].problem
    changes = told_all(term, ConditionAnswer(True))
    assert launched(changes) == []
    assert changes.evaluations["orders", "latest"].problem == ""
    term.turn(after=60)
    assert ("orders", None) in launched(told_all(term, ConditionAnswer(False)))


def test_one_that_fails_after_it_answered_stops_its_asset_and_what_it_found_stays_visible() -> None:
    for automation, answer in ((Custom("is_open"), False), (~Custom("is_open"), True)):
        term = Term(automation=automation)
        term.turn()
        told_all(term, ConditionAnswer(answer))
        term.turn(after=60)
        evaluation = term.asked()["orders"][0]
        term.answer(evaluation, None, "user_error", CLOSED)
        changes = term.turn()
        assert launched(changes) == []
        told = changes.evaluations["orders", "latest"]
        assert "ValueError: closed" in told.problem
        assert told.findings
        following = Term(changes.memories, automation)
        assert launched(following.turn()) == []
        assert ("orders", None) in launched(told_all(following, ConditionAnswer(not answer)))


def test_one_that_recovers_with_the_answer_that_it_gave_before_is_no_news() -> None:
    term = Term()
    term.turn()
    assert ("orders", None) in launched(told_all(term, ConditionAnswer(True)))
    term.turn(after=60)
    term.answer(term.asked()["orders"][0], None, "user_error", CLOSED)
    term.turn()
    term.turn(after=60)
    changes = told_all(term, ConditionAnswer(True))
    assert launched(changes) == []
    assert changes.evaluations["orders", "latest"].problem == ""


def test_an_answer_about_everything_is_about_what_comes_to_exist_one_about_partitions_is_not() -> None:
    for answer in (ConditionAnswer(True), ConditionAnswer(False, ())):
        term = Term(automation=Missing() & ~Custom("is_open"))
        term.turn()
        first = launched(told_all(term, answer))
        assert (("days", "2024-05-31") in first) == (answer.partitions is not None)
        assert launched(term.turn(after=86_400)) == []  # another day is complete
        assert [key for key in launched(told_all(term, ConditionAnswer(False))) if key[1] == "2024-06-01"]


def test_however_often_code_is_deployed_each_question_is_asked_once_in_its_interval() -> None:
    term = Term()
    term.turn()
    told_all(term, ConditionAnswer(False))
    for number in range(3):
        term.deploy(f"version {number}")
        term.turn(after=1)
        told_all(term, ConditionAnswer(False))
    asked = 0
    for _ in range(130):  # answers are heard a second later
        term.turn(after=1)
        asked += len(questions := term.asked())
        for evaluation, _ in questions.values():
            term.answer(evaluation, ConditionAnswer(False))
    assert asked == 4


def test_what_a_version_stored_that_stores_it_otherwise_is_begun_anew() -> None:
    term = Term()
    term.turn()
    changes = told_all(term, ConditionAnswer(True))
    others = {
        key: msgspec.msgpack.encode([*msgspec.msgpack.decode(body)[:5], [("is_open", b"")]])
        for key, body in changes.memories.items()
    }
    following = Term(others | {"days": b"nonsense"})
    assert launched(following.turn()) == []
    assert ("orders", None) in launched(told_all(following, ConditionAnswer(True)))
