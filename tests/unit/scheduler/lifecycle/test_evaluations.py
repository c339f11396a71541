"""The desk for evaluations: each is answered exactly once, whatever is lost or repeated."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scheduling import NOW

from hedgerow.errors import Problem
from hedgerow.protocol.events import Evaluated
from hedgerow_scheduler.lifecycle.evaluations import BEGIN_WITHIN, GRACE, REPEAT, Evaluations, numbered_ids

TIMEOUT = timedelta(seconds=60)
NULL = msgspec.Raw(b"null")


def desk(serving: str | None = "abc") -> Evaluations:
    return Evaluations(lambda team, location: serving, numbered_ids())


def ask(evaluations: Evaluations, name: str = "files") -> str:
    id = evaluations.ask("sales", "main", "sensor", name, NULL, TIMEOUT, NOW)
    assert id is not None
    return id


def test_what_is_asked_goes_out_once_the_cycle_is_recorded_and_its_answer_is_taken_once() -> None:
    evaluations = desk()
    id = ask(evaluations)
    ((team, message),) = evaluations.outgoing()
    assert (team, message.evaluation_id, message.manifest, message.kind, message.name) == (
        "sales", id, "abc", "sensor", "files",
    )  # fmt: skip
    assert message.timeout_ms == 60_000
    assert message.start_before_ms == round((NOW + BEGIN_WITHIN).timestamp() * 1000)
    assert evaluations.outgoing() == []
    told = Evaluated(id, "sensor", "files", "ok", msgspec.Raw(b"{}"), duration_ms=7, log="hello")
    assert evaluations.answer("sales", told)
    assert not evaluations.answer("sales", told)
    assert evaluations.take("condition") == []
    (answer,) = evaluations.take("sensor")
    assert (answer.id, answer.reason, bytes(answer.result), answer.log) == (id, "ok", b"{}", "hello")
    assert evaluations.take("sensor") == []
    assert evaluations.next_due() is None


def test_an_evaluation_whose_worker_had_to_leave_is_lost_and_no_fault_of_the_function() -> None:
    evaluations = desk()
    left = Problem("HR-X104", "The worker had to leave.", "Nothing.")
    assert evaluations.answer("sales", Evaluated(ask(evaluations), "sensor", "files", "runner_lost", error=left))
    died = Problem("HR-X107", "It ended.", "See what it printed.")
    assert evaluations.answer("sales", Evaluated(ask(evaluations), "sensor", "files", "runner_lost", error=died))
    assert [answer.reason for answer in evaluations.take("sensor")] == ["lost", "runner_lost"]


def test_nothing_is_asked_where_no_worker_serves_the_code_in_force() -> None:
    evaluations = desk(None)
    assert evaluations.ask("sales", "main", "sensor", "files", NULL, TIMEOUT, NOW) is None
    assert evaluations.outgoing() == []


@pytest.mark.parametrize(
    ("team", "told"),
    [
        ("ml", Evaluated("{id}", "sensor", "files", "ok")),
        ("sales", Evaluated("{id}", "condition", "files", "ok")),
        ("sales", Evaluated("{id}", "sensor", "other", "ok")),
        ("sales", Evaluated("00000000-0000-7000-8000-000000000099", "sensor", "files", "ok")),
    ],
)
def test_an_answer_that_is_not_to_what_was_asked_counts_for_nothing(team: str, told: Evaluated) -> None:
    evaluations = desk()
    id = ask(evaluations)
    assert not evaluations.answer(team, msgspec.structs.replace(told, evaluation_id=told.evaluation_id.format(id=id)))
    assert evaluations.take("sensor") == []


def test_what_nobody_may_have_heard_is_asked_again_and_what_is_not_answered_in_time_is_lost() -> None:
    evaluations = desk()
    id = ask(evaluations)
    sent, now = len(evaluations.outgoing()), NOW
    lost_at = NOW + BEGIN_WITHIN + TIMEOUT + GRACE
    while (due := evaluations.next_due()) is not None:
        assert due > now
        now = due
        evaluations.turn(now - timedelta(milliseconds=1))
        assert evaluations.take("sensor") == []
        evaluations.turn(now)
        sent += len(evaluations.outgoing())
    assert sent == 1 + (BEGIN_WITHIN - REPEAT) // REPEAT
    assert now == lost_at
    (answer,) = evaluations.take("sensor")
    assert (answer.id, answer.reason) == (id, "lost")
    assert answer.error is not None
    assert answer.error.code == "HR-Q027"
    assert not evaluations.answer("sales", Evaluated(id, "sensor", "files", "ok"))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50), st.booleans()), max_size=40))
def test_each_evaluation_is_answered_exactly_once(steps: list[tuple[int, int, bool]]) -> None:
    evaluations, now, asked, answered = desk(), NOW, [], []
    for which, seconds, asks in steps:
        now += timedelta(seconds=seconds)
        if asks:
            id = evaluations.ask("sales", "main", "sensor", "files", NULL, TIMEOUT, now)
            assert id is not None
            asked.append(id)
        elif which < len(asked):
            evaluations.answer("sales", Evaluated(asked[which], "sensor", "files", "ok"))
        evaluations.turn(now)
        answered += [answer.id for answer in evaluations.take("sensor")]
    evaluations.turn(now + BEGIN_WITHIN + TIMEOUT + GRACE)
    answered += [answer.id for answer in evaluations.take("sensor")]
    assert sorted(answered) == sorted(asked)
    assert evaluations.next_due() is None
