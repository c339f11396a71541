"""The table of attempts that a worker holds."""

from __future__ import annotations

from hedgerow.protocol.events import Held
from hedgerow.protocol.orders import StepOrder
from hedgerow_workers.attempts import Attempt, Attempts, Stop


def _attempt(attempt_id: str) -> Attempt:
    order = StepOrder("d", "t", "l", "q", "run", "step", attempt_id, 1, "m", "c", ("c",))
    return Attempt(order, f"token-{attempt_id}")


def test_an_attempt_is_held_until_its_last_event_was_sent() -> None:
    attempts = Attempts()
    first, second = _attempt("1"), _attempt("2")
    attempts.add(first)
    attempts.add(second)
    attempts.report([first], 10)

    assert len(attempts) == 1
    assert set(attempts.holds(sent=9)) == {Held("1", "token-1"), Held("2", "token-2")}
    assert attempts.holds(sent=10) == (Held("2", "token-2"),)
    assert attempts.get("1") is None


def test_the_first_reason_to_stop_counts_and_is_acted_on_once() -> None:
    attempt = _attempt("1")
    acted: list[str] = []
    attempt.watch_stop(lambda: acted.append("stop"))

    assert attempt.request_stop(Stop("cancelled", "HR-X109", "First.", 1.0))
    assert not attempt.request_stop(Stop("timed_out", "HR-X105", "Second.", 1.0))
    assert attempt.stop is not None
    assert (attempt.stop.message, acted) == ("First.", ["stop"])


def test_a_stop_that_came_before_the_runner_is_acted_on_when_there_is_one() -> None:
    attempt = _attempt("1")
    attempt.request_stop(Stop("cancelled", "HR-X109", "Early.", 1.0))
    acted: list[str] = []
    attempt.watch_stop(lambda: acted.append("stop"))
    assert acted == ["stop"]


def test_nothing_is_stopped_after_the_runner_has_ended_its_part() -> None:
    attempt = _attempt("1")
    acted: list[str] = []
    attempt.watch_stop(lambda: acted.append("stop"))
    attempt.watch_stop(None)
    attempt.request_stop(Stop("cancelled", "HR-X109", "Late.", 1.0))
    assert acted == []
