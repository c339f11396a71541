"""Wait times: whatever happened to a step, its causes add up to the whole wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hedgerow_scheduler.admission.causes import Cause
from hedgerow_scheduler.admission.wait_times import Try, WaitFacts, present_cause, waits_of

CREATED = datetime(2024, 6, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return CREATED + timedelta(seconds=seconds)


def facts(state: str, now: float, **more: Any) -> WaitFacts:
    """A step of a run that was planned after 2 s."""
    values: dict[str, Any] = {"planned_at": at(2), "ready_at": at(2), "ended_at": None, "recorded": None}
    return WaitFacts(now=at(now), state=state, created_at=CREATED, **values | more)


def told(found: WaitFacts, present: str = "turn") -> dict[str, float]:
    return {wait.cause: wait.seconds for wait in waits_of(found, present)}


def test_a_root_step_that_waits_has_planning_and_what_holds_it_now() -> None:
    assert told(facts("ready", 10), "pool_slots") == {"planning": 2, "pool_slots": 8}


def test_a_step_that_was_counted_before_has_the_rest_on_what_holds_it_now() -> None:
    waiting = facts("ready", 30, ready_at=at(20), recorded={"planning": 2.0, "upstream": 18.0})
    assert told(waiting, "queue_rate") == {"upstream": 18, "queue_rate": 10, "planning": 2}


def test_the_time_of_earlier_attempts_is_no_wait() -> None:
    tries = (Try(at(3), at(4), at(14)),)
    again = facts("retry_wait", 20, recorded={"planning": 2.0, "turn": 1.0, "dispatch": 1.0}, tries=tries)
    assert told(again, "retry_wait") == {"retry_wait": 6, "planning": 2, "turn": 1, "dispatch": 1}


def test_a_started_step_keeps_what_was_counted() -> None:
    started = facts("succeeded", 99, recorded={"planning": 2.0, "turn": 1.0}, tries=(Try(at(3), at(3), at(50)),))
    assert told(started) == {"planning": 2, "turn": 1}


def test_time_between_an_end_and_a_retry_by_hand_is_told_apart() -> None:
    tries = (Try(at(2), at(2), at(10)),)
    again = facts("ready", 75, ready_at=at(70), recorded={"planning": 2.0}, tries=tries)
    assert told(again, "slots_busy") == {"ended": 60, "slots_busy": 5, "planning": 2}


def test_a_step_that_never_started_waited_for_what_comes_before_it() -> None:
    assert told(facts("upstream_failed", 99, ended_at=at(30))) == {"upstream": 28, "planning": 2}


@pytest.mark.parametrize("state", ["waiting", "ready", "retry_wait", "dispatched"])
def test_a_step_that_waits_is_explained_to_the_last_second(state: str) -> None:
    for tries in ((), (Try(at(3), None, at(5)),), (Try(at(3), at(4), at(9)), Try(at(11), None, None))):
        ran = sum((one.ended_at - one.started_at).total_seconds() for one in tries if one.started_at and one.ended_at)
        waits = waits_of(facts(state, 40, recorded={"planning": 2.0, "turn": 3.0}, tries=tries), "turn")
        assert sum(wait.seconds for wait in waits) == pytest.approx(40 - ran)
        assert sum(wait.share for wait in waits) == pytest.approx(1)


def test_the_present_cause_is_the_first_that_holds_the_step() -> None:
    assert (
        present_cause([Cause("location_failed", ""), Cause("refused_code", ""), Cause("pool_rate", "")]) == "no_workers"
    )
    assert present_cause([Cause("next", "")]) == "turn"
